// ONNX Runtime's worker, on the graphs of export_onnx.py. usage: node ort_peer.js FOLDER THREADS (see worker.h)
//
// Calls the package's native session directly: `run` of the public class does the same in a promise, which costs a
// one-row call a good part of its time. Input and output tensors are made once.
'use strict';

const fs = require('fs');
const path = require('path');
const readline = require('readline');

const [folder, threads] = [process.argv[2], Number(process.argv[3])];
const packages = path.resolve(folder, 'node_modules');
const { Tensor } = require(path.join(packages, 'onnxruntime-node'));
const { binding, initOrt } = require(path.join(packages, 'onnxruntime-node/dist/binding.js'));
initOrt();

const WIDTHS = { S: [128, 4], M: [512, 6], L: [1024, 12] }; // of input and output
const STYLES = ['plain', 'fused-2d', 'fused-bmm'];
const sessions = new Map();
const chosen = new Map();

function sessionOf(config, style) {
  const key = `${config}.${style}`;
  if (!sessions.has(key)) {
    const session = new binding.InferenceSession();
    session.loadModel(path.join(folder, `${key}.onnx`),
      { intraOpNumThreads: threads, interOpNumThreads: 1, graphOptimizationLevel: 'all' });
    sessions.set(key, session);
  }
  return sessions.get(key);
}

const now = () => Number(process.hrtime.bigint()) * 1e-9;

// The median of samples of calls, in microseconds.
function measure(call, seconds) {
  const time = (calls) => {
    const start = now();
    for (let i = 0; i < calls; i++) call();
    return now() - start;
  };
  let once = time(1);
  if (once < 0.03) once = time(1);
  const calls = Math.max(1, Math.round(300e-6 / once));
  const samples = [];
  for (const start = now(); samples.length < (once < 0.03 ? 3 : 1) || now() - start < seconds;) {
    samples.push(time(calls) / calls);
  }
  samples.sort((a, b) => a - b);
  return samples[samples.length >> 1] * 1e6;
}

function answer(op, config, batch, seconds) {
  if (op !== 'predict') return '-';
  const [width, tasks] = WIDTHS[config];
  const bytes = fs.readFileSync(path.join(folder, `${config}.rows`));
  const rows = new Float32Array(bytes.buffer, bytes.byteOffset, batch * width);
  const input = { v: new Tensor('float32', Float32Array.from(rows), [batch, width]) };
  const output = { p: new Tensor('float32', new Float32Array(batch * tasks), [batch, tasks]) };
  const key = `${config} ${batch}`;
  const timeOf = (style) => {
    const session = sessionOf(config, style);
    return measure(() => session.run(input, output, {}), seconds);
  };
  if (!chosen.has(key)) {
    const times = STYLES.map((style) => [timeOf(style), style]).sort((a, b) => a[0] - b[0]);
    times.forEach(([us, style]) => console.error(`predict ${key}: ${style} ${us.toFixed(1)} us`));
    chosen.set(key, times[0][1]);
  }
  const style = chosen.get(key);
  const us = timeOf(style);
  return `${us.toFixed(3)} ${style} ${Array.from(output.p.data.slice(0, tasks), (v) => v.toPrecision(7)).join(' ')}`;
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [op, config, batch, seconds] = line.split(' ');
  console.log(answer(op, config, Number(batch), Number(seconds)));
});
