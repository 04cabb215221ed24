// Loads a checkpoint, predicts the made-up rows in four workers, and prints the bits of the probabilities; then
// the same with a frozen copy, on the threads of Node's own pool.
//
// Usage: node predict.js MODEL

import {once} from 'node:events';
import {fileURLToPath} from 'node:url';
import {Worker, isMainThread, parentPort, workerData} from 'node:worker_threads';
import {HomeError, Model} from './home.js';
import {ROWS, makeRows} from './rows.js';

const THREADS = 4;
const SHARE = ROWS / THREADS;
const shares = Array.from({length: THREADS}, (_, i) => [i * SHARE, (i + 1) * SHARE]);

function print(predictions, tasks) {
    const view = new DataView(new ArrayBuffer(4));
    for (let i = 0; i < predictions.length; i += tasks) {
        const bits = Array.from({length: tasks}, (_, t) => {
            view.setFloat32(0, predictions[i + t]);
            return view.getUint32(0).toString(16).padStart(8, '0');
        });
        console.log(bits.join(' '));
    }
}

async function predictInWorker(model, share) {
    const worker = new Worker(fileURLToPath(import.meta.url), {workerData: {token: model.share(), share}});
    const [predictions] = await once(worker, 'message');
    return predictions;
}

async function main(path) {
    const model = Model.load(path);
    const frozen = model.freeze();
    for (const predictions of await Promise.all(shares.map((share) => predictInWorker(model, share))))
        print(predictions, model.tasks.length);
    for (const predictions of
         await Promise.all(shares.map((share) => frozen.predictAsync(makeRows(frozen, ...share)))))
        print(predictions, frozen.tasks.length);
    frozen.close();
    model.close();
}

if (isMainThread) {
    if (process.argv.length !== 3) {
        console.error('usage: node predict.js MODEL');
        process.exit(2);
    }
    try {
        await main(process.argv[2]);
    } catch (error) {
        if (!(error instanceof HomeError))
            throw error;
        console.error(`error ${error.status}: ${error.message}`);
        process.exitCode = 1;
    }
} else {
    const model = Model.from(workerData.token);
    parentPort.postMessage(model.predict(makeRows(model, ...workerData.share)));
    model.close();
}
