// Reads an answer aloud, and stops: by the button again, by Escape, by the next answer that is read, or when the answer goes.
export default {
  template: `
    <span class="as-listen">
      <button type="button" class="as-tool-plain" :aria-pressed="String(speaking)" :aria-label="speaking ? 'Stop reading' : 'Read aloud'"
        @click="toggle">
        <i class="q-icon notranslate material-icons" aria-hidden="true">{{ speaking ? "stop_circle" : "volume_up" }}</i>
        <span>{{ speaking ? "Stop reading" : "Read aloud" }}</span></button>
      <span v-if="problem" class="as-voice-problem" role="alert">{{ problem }}</span>
    </span>`,
  props: { text: String, resourcePath: String },
  data: () => ({ speaking: false, problem: "" }),
  mounted() {
    this.ending = new AbortController();
    window.addEventListener("keydown", (event) => { if (event.key === "Escape" && this.speaking) this.toggle(); }, this.ending);
  },
  async unmounted() { this.ending.abort(); if (this.speaking) (await this.voice()).silence(); },
  methods: {
    voice() { return import(`${window.path_prefix || ""}${this.resourcePath}/voice.js`); },
    async toggle() {
      const { speak, silence } = await this.voice();
      this.problem = "";
      if (this.speaking) return silence();
      this.speaking = true;
      try {
        await speak(this.text, () => { this.speaking = false; });
      } catch (problem) {
        this.problem = problem.message;
      }
    },
  },
};
