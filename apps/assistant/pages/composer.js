// The place to type a question: Enter sends, Shift+Enter begins a line, Escape stops, / leads to it. It grows with what is typed.
export default {
  template: `
    <form class="as-composer" @submit.prevent="send">
      <textarea ref="text" rows="1" v-model="text" :disabled="disabled" :placeholder="placeholder" aria-label="Question"
        maxlength="20000" enterkeyhint="send" @input="grow" @keydown="key"></textarea>
      <button v-if="busy" type="button" class="as-round as-stop" aria-label="Stop" title="Stop (Escape)" @click="$emit('stop')">
        <i class="q-icon material-icons" aria-hidden="true">stop</i></button>
      <button v-else type="submit" class="as-round as-send" aria-label="Send" title="Send (Enter)" :disabled="disabled || !text.trim()">
        <i class="q-icon material-icons" aria-hidden="true">arrow_upward</i></button>
    </form>`,
  props: { busy: Boolean, disabled: Boolean, placeholder: String },
  emits: ["send", "stop"],
  data: () => ({ text: "" }),
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
  unmounted() { this.ending.abort(); this.watch.disconnect(); },
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
    // Who scrolled up to read is left there.
    follow(always) {
      const left = document.documentElement.scrollHeight - window.innerHeight - window.scrollY;
      if (always || (this.busy && left < 320)) window.scrollTo(0, document.documentElement.scrollHeight);
    },
  },
};
