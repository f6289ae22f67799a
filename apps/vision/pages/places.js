// Zones and lines over a camera's picture, in shares of it: drawn, moved and taken away with a mouse, a finger or the keyboard.
const STEP = 0.02, FINE = 0.004, NEAR = 0.025, LEAST = { zone: 3, line: 2 };
const clamp = (value) => Math.round(Math.min(1, Math.max(0, value)) * 1e4) / 1e4;

export default {
  template: `
    <div ref="area" class="vi-places" :class="{ 'vi-drawing': drawing }" tabindex="0" role="application" :aria-label="help"
      @pointerdown="press" @pointermove="move" @pointerup="lift" @pointercancel="lift" @dblclick="finish" @keydown="key">
      <slot></slot>
      <svg viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">
        <template v-for="shape in local" :key="shape.id">
          <polygon v-if="shape.kind === 'zone'" class="vi-shape" :class="{ 'vi-chosen': shape.id === chosen }"
            :points="path(shape.points)" :data-shape="shape.id" />
          <polyline v-else class="vi-shape vi-line" :class="{ 'vi-chosen': shape.id === chosen }" :points="path(shape.points)"
            :data-shape="shape.id" />
        </template>
        <polyline v-if="drawing" class="vi-shape vi-new" :points="path(drawing.points.concat(pen ? [pen] : []))" />
      </svg>
      <span v-for="shape in local" :key="'n' + shape.id" class="vi-place-name" :class="'vi-' + shape.kind" :style="named(shape.points[0])">
        {{ shape.name }}</span>
      <template v-for="shape in local" :key="'a' + shape.id">
        <span v-if="shape.kind === 'line'" class="vi-arrow" :style="arrow(shape.points)" aria-hidden="true">➜</span>
      </template>
      <template v-if="current && !drawing">
        <button v-for="(point, index) in current.points" :key="'h' + index" type="button" class="vi-handle" :style="at(point)"
          :data-corner="index" :aria-label="corner(index)" @keydown="nudge($event, index)"></button>
        <template v-if="current.kind === 'zone'">
          <button v-for="(point, index) in middles" :key="'m' + index" type="button" class="vi-handle vi-middle" :style="at(point)"
            :data-middle="index" :aria-label="'Add a corner after corner ' + (index + 1) + ' of ' + current.name"
            @keydown.enter.prevent.stop="split(index)"></button>
        </template>
      </template>
      <span v-if="drawing" v-for="(point, index) in drawing.points" :key="'d' + index" class="vi-handle vi-set" :style="at(point)"></span>
      <span v-if="drawing && pen" class="vi-handle vi-pen" :style="at(pen)"></span>
    </div>`,
  props: { shapes: Array, chosen: Number },
  data: () => ({ local: [], drawing: null, pen: null, grabbed: null, pointer: null }),
  computed: {
    current() { return this.local.find((shape) => shape.id === this.chosen); },
    middles() {
      const points = this.current.points;
      return points.map(([x, y], index) => {
        const [nextX, nextY] = points[(index + 1) % points.length];
        return [(x + nextX) / 2, (y + nextY) / 2];
      });
    },
    help() {
      return this.drawing
        ? "Arrow keys move the pen, space sets a corner, Enter ends, backspace takes the last corner back, Escape gives up."
        : "The camera's picture with its zones and lines. Tab leads to the corners of the chosen one, arrow keys move them.";
    },
  },
  watch: { shapes: { immediate: true, handler(given) { this.local = JSON.parse(JSON.stringify(given ?? [])); } } },
  methods: {
    path: (points) => points.map(([x, y]) => `${x},${y}`).join(" "),
    at: ([x, y]) => ({ left: `${100 * x}%`, top: `${100 * y}%` }),
    corner(index) {
      const [x, y] = this.current.points[index].map((share) => Math.round(100 * share));
      return `Corner ${index + 1} of ${this.current.name}, at ${x} % and ${y} %`;
    },
    arrow([start, end]) {
      const frame = this.$refs.area?.getBoundingClientRect() ?? { width: 16, height: 9 };
      const across = Math.atan2((end[0] - start[0]) * frame.width, -(end[1] - start[1]) * frame.height);
      return { ...this.at([(start[0] + end[0]) / 2, (start[1] + end[1]) / 2]), "--vi-turn": `${across}rad` };
    },
    named(point) {  // a name stands above its first point, and still in the picture
      const { left, top } = this.at(point);
      return { left: `min(${left}, 100% - 3em)`, top: `max(${top}, 26px)` };
    },
    draw(kind) {
      this.drawing = { kind, points: [] };
      this.pen = null;
      this.$refs.area?.focus();
    },
    point(event) {
      const frame = this.$refs.area.getBoundingClientRect();
      return [clamp((event.clientX - frame.left) / frame.width), clamp((event.clientY - frame.top) / frame.height)];
    },
    press(event) {
      if (this.pointer !== null || event.button !== 0) return;
      if (this.drawing) return this.set(this.point(event));
      const data = event.target.dataset;
      if (data.middle !== undefined) this.split(Number(data.middle), false);
      if (data.corner !== undefined || data.middle !== undefined) {
        this.grabbed = data.corner !== undefined ? Number(data.corner) : Number(data.middle) + 1;
        this.pointer = event.pointerId;
        this.$refs.area.setPointerCapture(event.pointerId);
      } else if (data.shape !== undefined) this.$emit("chosen", { id: Number(data.shape) });
    },
    move(event) {
      if (this.drawing && event.pointerType === "mouse") this.pen = this.point(event);
      if (event.pointerId === this.pointer) this.current.points[this.grabbed] = this.point(event);
    },
    lift(event) {
      if (event.pointerId !== this.pointer) return;
      this.pointer = this.grabbed = null;
      this.moved();
    },
    set(point) {
      const { kind, points } = this.drawing, [first] = points;
      const closes = kind === "zone" && points.length >= 3 && Math.hypot(point[0] - first[0], point[1] - first[1]) < NEAR;
      if (closes) return this.finish();
      const last = points.at(-1);
      if (!last || Math.hypot(point[0] - last[0], point[1] - last[1]) > 0.005) points.push(point);
      if (kind === "line" && points.length === 2) this.finish();
    },
    finish() {
      if (!this.drawing || this.drawing.points.length < LEAST[this.drawing.kind]) return;
      this.$emit("drawn", { kind: this.drawing.kind, points: this.drawing.points });
      this.drawing = this.pen = null;
    },
    stop() { if (this.drawing) { this.drawing = this.pen = null; this.$emit("gaveup"); } },
    key(event) {
      if (!this.drawing) return;
      const step = event.shiftKey ? FINE : STEP;
      const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      if (event.key in moves) {
        const [x, y] = this.pen ?? [0.5, 0.5], [across, along] = moves[event.key];
        this.pen = [clamp(x + across), clamp(y + along)];
      } else if (event.key === " ") this.set(this.pen ?? [0.5, 0.5]);
      else if (event.key === "Enter") this.finish();
      else if (event.key === "Backspace") this.drawing.points.pop();
      else if (event.key === "Escape") this.stop();
      else return;
      event.preventDefault();
    },
    nudge(event, index) {
      const step = event.shiftKey ? FINE : STEP / 2, points = this.current.points;
      const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      if (event.key in moves) {
        const [across, along] = moves[event.key];
        points[index] = [clamp(points[index][0] + across), clamp(points[index][1] + along)];
      } else if (event.key === "Delete" && points.length > LEAST[this.current.kind]) points.splice(index, 1);
      else return;
      event.preventDefault();
      event.stopPropagation();
      this.moved();
    },
    split(index, tell = true) {
      this.current.points.splice(index + 1, 0, this.middles[index].map(clamp));
      if (tell) this.moved();
    },
    moved() { this.$emit("moved", { id: this.current.id, points: this.current.points }); },
  },
};
