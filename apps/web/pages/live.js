// A live picture: asked for only while the page is in sight, asked again when it ends, with its state in words.
const AGAIN_MS = 1000, LONGEST_MS = 15000;
const WORDS = { connecting: "connecting", live: "live", stalled: "no new pictures", lost: "lost, trying again", ended: "ended" };

export default {
  template: `
    <figure class="ek-live" :class="'ek-live-' + state" :style="ratio ? { aspectRatio: ratio } : {}">
      <img ref="picture" :alt="label" @load="came" @error="ended">
      <figcaption><span class="ek-live-dot" aria-hidden="true"></span>{{ text }}</figcaption>
      <slot></slot>
    </figure>`,
  // `said` is the source's own state, which counts before what can be seen from here; `every` asks for single pictures.
  props: { url: String, label: String, stalled: Boolean, said: String, words: String, every: Number, ratio: String },
  data: () => ({ connected: false, lost: false, wait: AGAIN_MS, timer: null }),
  computed: {
    state() {
      if (this.lost) return "lost";
      if (this.said && this.said !== "live") return this.said;
      if (!this.connected) return "connecting";
      return this.stalled ? "stalled" : "live";
    },
    text() { return this.said === this.state && this.words ? this.words : WORDS[this.state]; },
  },
  mounted() {
    this.sight = () => document.hidden ? this.close() : this.open();
    document.addEventListener("visibilitychange", this.sight);
    // A page counts as loading until its pictures are there: one without any would keep it so.
    if (document.readyState === "complete") this.open();
    else window.addEventListener("load", this.open, { once: true });
  },
  unmounted() {
    document.removeEventListener("visibilitychange", this.sight);
    window.removeEventListener("load", this.open);
    this.close();
  },
  watch: {
    url() { this.close(); this.open(); },
    said() { if (!this.connected) this.open(); },
  },
  methods: {
    open() {
      clearTimeout(this.timer);
      if (this.said === "connecting" || this.said === "lost") return; // no picture will come; a request would wait for one
      this.$refs.picture.src = `${this.url}${this.url.includes("?") ? "&" : "?"}at=${Date.now()}`;
    },
    close() {
      clearTimeout(this.timer);
      this.connected = false;
      this.$refs.picture.removeAttribute("src");
    },
    came() {
      Object.assign(this, { connected: true, lost: false, wait: AGAIN_MS });
      if (!this.every) return;
      clearTimeout(this.timer);
      this.timer = setTimeout(this.open, this.every);
    },
    ended() {
      if (!this.$refs.picture.hasAttribute("src")) return;
      this.lost = true;
      this.timer = setTimeout(this.open, this.wait);
      this.wait = Math.min(2 * this.wait, LONGEST_MS);
    },
  },
};
