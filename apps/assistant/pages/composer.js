// The place to type a question: Enter sends, Shift+Enter begins a line, Escape stops. It grows with what is typed. The microphone
// is there when the server can listen: pressed or held, it records until it is let go.
const RATE = 16000, LONGEST_S = 60;

export default {
  template: `
    <form class="as-composer" @submit.prevent="send">
      <textarea ref="text" rows="1" v-model="text" :disabled="disabled" :placeholder="placeholder" aria-label="Question"
        maxlength="20000" enterkeyhint="send" @input="grow" @keydown="key"></textarea>
      <button v-if="voice" type="button" class="as-round" :class="{ 'as-live': recording }" :disabled="disabled || busy"
        :aria-pressed="recording" aria-label="Hold to speak" title="Hold to speak"
        @pointerdown.prevent="listen" @pointerup="heard" @pointercancel="heard" @keydown.space.prevent="toggle">
        <i class="q-icon material-icons" aria-hidden="true">mic</i></button>
      <button v-if="busy" type="button" class="as-round as-stop" aria-label="Stop" title="Stop (Escape)" @click="$emit('stop')">
        <i class="q-icon material-icons" aria-hidden="true">stop</i></button>
      <button v-else type="submit" class="as-round as-send" aria-label="Send" title="Send (Enter)" :disabled="disabled || !text.trim()">
        <i class="q-icon material-icons" aria-hidden="true">arrow_upward</i></button>
    </form>`,
  props: { busy: Boolean, disabled: Boolean, placeholder: String, voice: Boolean },
  emits: ["send", "stop", "recorded", "refused"],
  data: () => ({ text: "", recording: false }),
  mounted() {
    this.ending = new AbortController();
    window.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.busy && !document.querySelector(".q-dialog")) this.$emit("stop");
      if (event.key === "/" && !/^(input|textarea)$/i.test(event.target.tagName)) { event.preventDefault(); this.focus(); }
    }, { signal: this.ending.signal });
    const box = document.querySelector(".as-transcript");
    this.watch = new MutationObserver(() => this.follow());
    if (box) this.watch.observe(box, { subtree: true, childList: true, characterData: true });
    if (window.matchMedia("(pointer: fine)").matches) this.focus();
  },
  unmounted() { this.ending.abort(); this.watch.disconnect(); this.close(); },
  methods: {
    focus() { this.$refs.text.focus(); },
    put(text) { this.text = text; this.$nextTick(() => { this.grow(); this.focus(); }); },
    key(event) {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.send();
    },
    send() {
      const text = this.text.trim();
      if (!text || this.busy || this.disabled) return;
      this.$emit("send", { text });
      this.text = "";
      this.far = false;
      this.$nextTick(() => { this.grow(); this.follow(true); });
    },
    grow() {
      const box = this.$refs.text;
      box.style.height = "auto";
      box.style.height = `${Math.min(box.scrollHeight, 200)}px`;
    },
    // Who scrolled up to read is left there.
    follow(always) {
      const left = document.documentElement.scrollHeight - window.innerHeight - window.scrollY;
      if (always || (this.busy && left < 320)) window.scrollTo(0, document.documentElement.scrollHeight);
    },
    toggle() { this.recording ? this.heard() : this.listen(); },
    async listen() {
      if (this.recording) return;
      this.recording = true;
      try {
        this.line = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true } });
      } catch (error) {
        this.recording = false;
        this.$emit("refused", { reason: String(error.message || error) });
        return;
      }
      this.parts = [];
      this.recorder = new MediaRecorder(this.line);
      this.recorder.ondataavailable = (event) => this.parts.push(event.data);
      this.recorder.onstop = () => this.deliver();
      this.recorder.start();
      this.limit = setTimeout(() => this.heard(), LONGEST_S * 1000);
      if (!this.recording) this.heard();
    },
    heard() {
      this.recording = false;
      clearTimeout(this.limit);
      if (this.recorder && this.recorder.state === "recording") this.recorder.stop();
    },
    async deliver() {
      this.close();
      const context = new OfflineAudioContext(1, 1, RATE);
      const sound = await context.decodeAudioData(await new Blob(this.parts).arrayBuffer());
      const samples = sound.getChannelData(0);
      const bytes = new DataView(new ArrayBuffer(2 * samples.length));
      samples.forEach((value, at) => bytes.setInt16(2 * at, Math.max(-1, Math.min(1, value)) * 32767, true));
      const answer = await fetch("/api/voice/heard", {
        method: "POST", body: bytes.buffer, headers: { "content-type": `audio/l16;rate=${RATE}` } });
      const found = await answer.json();
      if (answer.ok) this.put(`${this.text} ${found.text}`.trim());
      else this.$emit("refused", { reason: [found.error, found.hint].filter(Boolean).join(". ") });
    },
    close() {
      if (this.line) this.line.getTracks().forEach((track) => track.stop());
      this.line = null;
    },
  },
};
