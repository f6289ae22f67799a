// The microphone and the loudspeaker of the chat: recordings leave the page as 16-bit mono WAV at 16,000 samples a second.
const RATE = 16000;

const problem = (reason, hint) => new Error([reason, hint].filter(Boolean).join(" – "));

// Answers of our interface: their JSON, else an Error whose message says what to do.
async function asked(path, options) {
  const answer = await fetch(`/api/voice${path}`, options);
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw problem(told.error || `the server answered ${answer.status}`, told.hint);
}

function wav(samples) {
  const view = new DataView(new ArrayBuffer(44 + samples.length * 2));
  const text = (at, letters) => [...letters].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + samples.length * 2, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, RATE, true); view.setUint32(28, RATE * 2, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, samples.length * 2, true);
  samples.forEach((sample, n) => view.setInt16(44 + n * 2, Math.max(-1, Math.min(1, sample)) * 32767, true));
  return new Blob([view], { type: "audio/wav" });
}

async function atOurRate(blob, longest) {
  const decoder = new AudioContext();
  const heard = await decoder.decodeAudioData(await blob.arrayBuffer()).finally(() => decoder.close());
  const frames = Math.max(1, Math.floor(Math.min(heard.duration, longest) * RATE));
  const context = new OfflineAudioContext(1, frames, RATE);
  const source = new AudioBufferSourceNode(context, { buffer: heard });
  source.connect(context.destination);
  source.start();
  return (await context.startRendering()).getChannelData(0);
}

// One recording: `stop()` gives the text that was heard, `cancel()` nothing.
export async function record(onFull) {
  if (!navigator.mediaDevices) throw new Error("browsers give the microphone to https:// and to localhost only");
  const { hears, longest_s: longest, shortest_s: shortest } = await (await asked("")).json();
  if (!hears.ok) throw problem(hears.reason, hears.hint);
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, noiseSuppression: true } });
  const recorder = new MediaRecorder(stream), parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  const over = new Promise((resolve) => { recorder.onstop = resolve; });
  recorder.start();
  const full = setTimeout(onFull, longest * 1000);
  const end = async () => {
    clearTimeout(full);
    if (recorder.state !== "inactive") recorder.stop();
    await over;
    stream.getTracks().forEach((track) => track.stop());
  };
  return {
    cancel: end,
    async stop() {
      await end();
      const samples = await atOurRate(new Blob(parts, { type: recorder.mimeType }), longest);
      if (samples.length < shortest * RATE) throw problem("nothing was said", "hold the button while you speak");
      const body = wav(samples);
      const answer = await asked("/transcription", { method: "POST", headers: { "Content-Type": "audio/wav" }, body });
      return (await answer.json()).text;
    },
  };
}

let playing = null;

// Read a text aloud; `silence()` ends it, and so does the next text.
export async function speak(text, onEnd) {
  silence();
  const mine = (playing = { context: new AudioContext(), ending: new AbortController(), onEnd });
  try {
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ text }) };
    const answer = await asked("/speech", { ...options, signal: mine.ending.signal });
    const source = new AudioBufferSourceNode(mine.context, { buffer: await mine.context.decodeAudioData(await answer.arrayBuffer()) });
    source.onended = () => { if (playing === mine) silence(); };
    source.connect(mine.context.destination);
    source.start();
  } catch (error) {
    const wanted = playing === mine;
    if (wanted) silence();
    if (wanted) throw error;
  }
}

export function silence() {
  const last = playing;
  playing = null;
  if (!last) return;
  last.ending.abort();
  last.context.close();
  last.onEnd();
}
