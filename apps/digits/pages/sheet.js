// A sheet to draw on with a mouse, a finger or the keyboard, to drop pictures on, and to show boxes over what was read.
const WIDTH = 640, HEIGHT = 480, PEN = 20, SCALE = 2, EVERY_MS = 150, STEP = 12, FINE_STEP = 3;

export default {
  template: `
    <div class="dg-sheet" :class="{ 'dg-over': over }">
      <img v-if="picture" class="dg-picture" :src="picture" alt="the picture that was opened">
      <canvas ref="canvas" tabindex="0" role="application" :width="width" :height="height"
        aria-label="Sheet to draw on. Arrow keys move the pen, space sets it down and lifts it, delete clears, Z takes back."></canvas>
      <div v-for="box in boxes" class="dg-box" :class="{ 'dg-unsure': box.unsure }" :style="place(box)" aria-hidden="true">
        <span>{{ box.label }}</span>
      </div>
      <div v-if="keyboard" class="dg-pen" :class="{ 'dg-down': down }" :style="pen()" aria-hidden="true"></div>
      <div v-if="!strokes.length && !picture && !keyboard" class="dg-hint" aria-hidden="true"><slot></slot></div>
    </div>`,
  props: { boxes: Array, picture: String, uploader: Number },
  data: () => ({
    width: WIDTH * SCALE, height: HEIGHT * SCALE,
    strokes: [], pointer: null, over: false, keyboard: false, down: false, at: [WIDTH / 2, HEIGHT / 2], sent: 0, timer: null,
  }),
  mounted() {
    const canvas = this.$refs.canvas;
    const on = (target, name, handler) => target.addEventListener(name, handler, { signal: this.ending.signal });
    this.ending = new AbortController();
    on(canvas, "pointerdown", this.press);
    on(canvas, "pointermove", this.move);
    for (const name of ["pointerup", "pointercancel"]) on(canvas, name, this.lift);
    on(canvas, "keydown", this.key);
    on(canvas, "blur", () => { this.keyboard = false; this.down = false; });
    for (const name of ["dragover", "dragenter"]) on(window, name, (event) => { event.preventDefault(); this.over = true; });
    on(window, "dragleave", (event) => { this.over = event.relatedTarget !== null; });
    on(window, "drop", (event) => { event.preventDefault(); this.over = false; this.take(event.dataTransfer.files); });
    on(window, "paste", (event) => this.take(event.clipboardData.files));
    this.look = new MutationObserver(() => this.paint());
    this.look.observe(document.body, { attributeFilter: ["class"] });
    this.paint();
  },
  unmounted() { this.ending.abort(); this.look.disconnect(); clearTimeout(this.timer); },
  methods: {
    place: (box) => ({ left: `${100 * box.x}%`, top: `${100 * box.y}%`, width: `${100 * box.w}%`, height: `${100 * box.h}%` }),
    pen() { return { left: `${100 * this.at[0] / WIDTH}%`, top: `${100 * this.at[1] / HEIGHT}%` }; },
    point(event) {
      const frame = this.$refs.canvas.getBoundingClientRect();
      return [(event.clientX - frame.left) / frame.width * WIDTH, (event.clientY - frame.top) / frame.height * HEIGHT];
    },
    begin(point) {
      if (this.picture) this.$emit("drawing");
      this.strokes.push([point]);
    },
    press(event) {
      if (this.pointer !== null || event.button !== 0) return;
      this.pointer = event.pointerId;
      this.keyboard = false;
      this.$refs.canvas.setPointerCapture(event.pointerId);
      this.begin(this.point(event));
      this.changed();
    },
    move(event) {
      if (event.pointerId !== this.pointer) return;
      if (!this.strokes.length) this.begin(this.point(event));  // a picture that was laid down took the stroke away
      for (const each of event.getCoalescedEvents?.() ?? [event]) this.strokes.at(-1).push(this.point(each));
      this.changed();
    },
    lift(event) {
      if (event.pointerId !== this.pointer) return;
      this.pointer = null;
      this.send();
    },
    key(event) {
      const step = event.shiftKey ? FINE_STEP : STEP;
      const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      if (event.key in moves) this.walk(moves[event.key]);
      else if (event.key === " ") this.toggle();
      else if (event.key === "Escape") this.down = false;
      else if (event.key === "Delete" || event.key === "Backspace") this.clear();
      else if (event.key.toLowerCase() === "z") this.undo();
      else return;
      event.preventDefault();
    },
    walk([across, along]) {
      this.keyboard = true;
      this.at = [Math.min(WIDTH, Math.max(0, this.at[0] + across)), Math.min(HEIGHT, Math.max(0, this.at[1] + along))];
      if (!this.down) return;
      this.strokes.at(-1).push(this.at);
      this.changed();
    },
    toggle() {
      this.keyboard = true;
      this.down = !this.down;
      if (!this.down) return this.send();
      this.begin(this.at);
      this.changed();
    },
    undo() {
      this.strokes.pop();
      this.down = false;
      this.changed();
    },
    clear() {
      this.strokes = [];
      this.down = false;
      this.paint();
      clearTimeout(this.timer);
      this.timer = null;
      this.$emit("cleared");
    },
    wipe() { this.strokes = []; this.down = false; this.paint(); },
    take(files) {
      const pictures = [...files].filter((file) => file.type.startsWith("image/") || !file.type);
      if (pictures.length) this.upload(pictures.slice(0, 1));
      else if (files.length) this.$emit("refused", { name: files[0].name });
    },
    upload(files) { getElement(this.uploader).$refs.qRef.addFiles(files); },
    changed() {
      this.paint();
      if (this.timer === null) this.timer = setTimeout(this.send, Math.max(0, this.sent + EVERY_MS - Date.now()));
    },
    send() {
      clearTimeout(this.timer);
      this.timer = null;
      this.sent = Date.now();
      if (!this.strokes.length) return this.$emit("cleared");
      const sheet = new OffscreenCanvas(WIDTH, HEIGHT), context = sheet.getContext("2d");
      context.fillStyle = "#fff";
      context.fillRect(0, 0, WIDTH, HEIGHT);
      this.draw(context, "#000", 1);
      const number = this.number = (this.number ?? 0) + 1;
      sheet.convertToBlob({ type: "image/png" }).then((blob) => this.encode(blob)).then((png) => {
        if (number === this.number && this.strokes.length) this.$emit("ink", { png });
      });
    },
    encode: (blob) => new Promise((done) => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result.split(",")[1]);
      reader.readAsDataURL(blob);
    }),
    paint() {
      const context = this.$refs.canvas.getContext("2d");
      context.clearRect(0, 0, this.width, this.height);
      this.draw(context, getComputedStyle(this.$refs.canvas).getPropertyValue("--dg-ink").trim(), SCALE);
    },
    draw(context, color, scale) {
      Object.assign(context, { strokeStyle: color, fillStyle: color, lineWidth: PEN * scale, lineCap: "round", lineJoin: "round" });
      for (const [first, ...rest] of this.strokes) {
        context.beginPath();
        context.moveTo(first[0] * scale, first[1] * scale);
        for (const [x, y] of rest.length ? rest : [first]) context.lineTo(x * scale, y * scale);
        context.stroke();
      }
    },
  },
};
