// The place to type a question: Enter sends, Shift+Enter begins a line, Escape stops, / leads to it. It grows with what is typed.
// The microphone hears while its button, or the space bar on it, is held down; a short press lets it go on until the next.
const SHORT_MS = 350;

export default {
  template: `
    <form class="as-composer" @submit.prevent="send">
      <div v-if="saying" class="as-voice-state" :class="{ 'as-voice-problem': problem }" :role="problem ? 'alert' : 'status'">{{ saying }}</div>
      <textarea ref="text" rows="1" v-model="text" :disabled="disabled" :placeholder="placeholder" aria-label="Question"
        maxlength="20000" enterkeyhint="send" @input="grow" @keydown="key"></textarea>
      <button type="button" class="as-round as-mic" :class="{ 'as-on': hearing === 'on' }" :disabled="disabled || hearing === 'understanding'"
        :aria-pressed="String(hearing === 'on')" aria-label="Speak" title="Hold and speak (or press the space bar on it)"
        @pointerdown="press" @pointerup="release" @pointercancel="cancelHearing"
        @keydown.space.prevent="pressKey" @keyup.space.prevent="release" @keydown.enter.prevent="pressKey" @keyup.enter.prevent="release"
        @contextmenu.prevent>
        <i class="q-icon notranslate material-icons" aria-hidden="true">mic</i></button>
      <button v-if="busy" type="button" class="as-round as-stop" aria-label="Stop" title="Stop (Escape)" @click="$emit('stop')">
        <i class="q-icon material-icons" aria-hidden="true">stop</i></button>
      <button v-else type="submit" class="as-round as-send" aria-label="Send" title="Send (Enter)" :disabled="disabled || !text.trim()">
        <i class="q-icon material-icons" aria-hidden="true">arrow_upward</i></button>
    </form>`,
  props: { busy: Boolean, disabled: Boolean, placeholder: String, resourcePath: String },
  emits: ["send", "stop"],
  // hearing: "" nothing, "starting" the microphone is asked for, "on" it records, "understanding" the recording is away.
  data: () => ({ text: "", hearing: "", problem: "" }),
  computed: {
    saying() {
      return this.problem || { starting: "Asking for the microphone", on: "Listening", understanding: "Understanding what you said" }[this.hearing];
    },
  },
  mounted() {
    this.ending = new AbortController();
    window.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && (this.hearing || this.problem)) { this.problem = ""; this.cancelHearing(); return; }
      if (event.key === "Escape" && this.busy && !document.querySelector(".q-dialog")) this.$emit("stop");
      if (event.key === "/" && !/^(input|textarea)$/i.test(event.target.tagName)) { event.preventDefault(); this.focus(); }
    }, { signal: this.ending.signal });
    window.addEventListener("scroll", () => this.scrolled(), { passive: true, signal: this.ending.signal });
    const box = document.querySelector(".as-transcript");
    this.watch = new MutationObserver(() => this.follow());
    if (box) this.watch.observe(box, { subtree: true, childList: true, characterData: true });
    if (window.matchMedia("(pointer: fine)").matches) this.focus();
  },
  unmounted() { this.ending.abort(); this.watch.disconnect(); this.cancelHearing(); },
  methods: {
    focus() { this.$refs.text.focus(); },
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
      this.$nextTick(() => { this.grow(); this.follow(true); });
    },
    grow() {
      const box = this.$refs.text;
      box.style.height = "auto";
      box.style.height = `${Math.min(box.scrollHeight, 200)}px`;
    },
    // Who scrolled up to read is left there. A quoted answer is whole before anything says that one is coming.
    follow(asked) {
      this.scrolled();
      this.following = asked || this.following || (this.busy && this.below() < 320);
      if (!this.following) return;
      window.scrollTo(0, document.documentElement.scrollHeight);
      this.top = window.scrollY;
    },
    // Asked before anything scrolls, too: what the reader did is told only with the next frame. At the very end nobody scrolled
    // up: the page became shorter.
    scrolled() {
      if (window.scrollY < this.top && this.below() > 1) this.following = false;
      this.top = window.scrollY;
    },
    below() { return document.documentElement.scrollHeight - window.innerHeight - window.scrollY; },
    press(event) {
      if (event.button) return;
      event.target.setPointerCapture?.(event.pointerId);
      this.pressKey(event);
    },
    pressKey(event) {
      if (event.repeat) return;
      this.pressedAt = performance.now();
      this.again = this.hearing === "on";
      if (!this.hearing) this.hear();
    },
    release() {
      if (this.again || performance.now() - this.pressedAt > SHORT_MS) this.understand();
    },
    async hear() {
      const turn = (this.turn = {});
      this.problem = "";
      this.hearing = "starting";
      await this.attempt(turn, async () => {
        const { record } = await import(`${window.path_prefix || ""}${this.resourcePath}/voice.js`);
        const recording = await record(() => this.understand());
        if (this.turn !== turn) return recording.cancel();
        this.recording = recording;
        this.hearing = "on";
        if (this.released) this.understand();
      });
    },
    // What was heard stands in the place to type, to be read and mended before it is sent.
    async understand() {
      this.released = this.hearing === "starting";
      if (this.hearing !== "on") return;
      const turn = this.turn;
      this.hearing = "understanding";
      await this.attempt(turn, async () => {
        const text = await this.recording.stop();
        if (this.turn !== turn) return;
        this.hearing = "";
        if (!text) throw new Error("Nothing was understood: speak near the microphone");
        this.text = [this.text.trim(), text].filter(Boolean).join(" ");
        this.$nextTick(() => { this.grow(); this.focus(); });
      });
    },
    async attempt(turn, step) {
      try {
        await step();
      } catch (error) {
        if (this.turn !== turn) return;
        this.hearing = "";
        this.problem = error.name === "NotAllowedError" ? "The browser was not allowed to use the microphone" : error.message;
      }
    },
    cancelHearing() {
      this.recording?.cancel();
      this.turn = this.recording = undefined;
      this.hearing = "";
      this.released = false;
    },
  },
};
