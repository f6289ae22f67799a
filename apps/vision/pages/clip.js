// An event's clip; where the browser has no decoder for it (H.265 often), its picture instead, and the way to the file.
export default {
  template: `
    <figure class="vi-clip">
      <video v-if="clip && !failed" :src="clip" :poster="snapshot" controls muted autoplay playsinline preload="auto"
        :aria-label="label" @error="failed = true" @loadedmetadata="begin"></video>
      <div v-else-if="snapshot" class="vi-still">
        <img :src="snapshot" :alt="label">
        <div v-if="box" class="vi-box" :style="place(box)" aria-hidden="true"></div>
      </div>
      <div v-else class="vi-none">No picture was kept of this event.</div>
      <figcaption v-if="failed" role="status">This browser does not play the clip: it shows the picture that began the event.</figcaption>
    </figure>`,
  props: { clip: String, snapshot: String, box: Array, label: String, at: Number },
  data: () => ({ failed: false }),
  watch: { clip() { this.failed = false; } },
  methods: {
    begin({ target }) { if (this.at > 0) target.currentTime = this.at; },  // this.$refs may be gone by then: another event was chosen
    place: ([x1, y1, x2, y2]) => ({ left: `${100 * x1}%`, top: `${100 * y1}%`, width: `${100 * (x2 - x1)}%`, height: `${100 * (y2 - y1)}%` }),
  },
};
