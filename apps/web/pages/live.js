// A live picture: asked for only while the page is in sight, asked again when it ends, with its state in words.
const AGAIN_MS = 1000, LONGEST_MS = 15000;

export default {
  template: `
    <figure class="ek-live" :class="'ek-live-' + state">
      <img ref="picture" :alt="label" @load="came" @error="ended">
      <figcaption><span class="ek-live-dot" aria-hidden="true"></span>{{ words[state] }}</figcaption>
      <slot></slot>
    </figure>`,
  props: { url: String, label: String, stalled: Boolean },
  data: () => ({ connected: false, lost: false, wait: AGAIN_MS, timer: null, words: {
    connecting: "connecting", live: "live", stalled: "no new pictures", lost: "lost, trying again",
  } }),
  computed: {
    state() {
      if (this.lost) return "lost";
      if (!this.connected) return "connecting";
      return this.stalled ? "stalled" : "live";
    },
  },
  mounted() {
    this.sight = () => document.hidden ? this.close() : this.open();
    document.addEventListener("visibilitychange", this.sight);
    this.open();
  },
  unmounted() { document.removeEventListener("visibilitychange", this.sight); this.close(); },
  methods: {
    open() { this.$refs.picture.src = `${this.url}?${Date.now()}`; },
    close() {
      clearTimeout(this.timer);
      this.connected = false;
      this.$refs.picture.removeAttribute("src");
    },
    came() { Object.assign(this, { connected: true, lost: false, wait: AGAIN_MS }); },
    ended() {
      if (!this.$refs.picture.hasAttribute("src")) return;
      this.lost = true;
      this.timer = setTimeout(this.open, this.wait);
      this.wait = Math.min(2 * this.wait, LONGEST_MS);
    },
  },
};
