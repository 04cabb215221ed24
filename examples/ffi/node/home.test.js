// Tests of home.js: node --test, with $HOME_MODEL a checkpoint of ../ids.json.

import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {once} from 'node:events';
import {test} from 'node:test';
import {Worker} from 'node:worker_threads';
import {HomeError, Metrics, Model, NO_USER} from './home.js';
import {ROWS, makeRows} from './rows.js';

const path = process.env.HOME_MODEL;
const model = Model.load(path);
const batch = makeRows(model);
const expected = model.predict(batch);

test('tells what it takes and gives', () => {
    assert.equal(model.denseWidth, 3);
    assert.deepEqual(model.fields, ['user', 'liked', 'watched']);
    assert.deepEqual(model.tasks, ['like', 'follow', 'finish']);
    for (const change of [() => model.tasks.pop(), () => model.fields.sort(), () => { model.denseWidth = 1; }])
        assert.throws(change, TypeError);
});

test('errors carry the message of the library', () => {
    assert.throws(() => Model.load('/nowhere/model.safetensors'),
                  (error) => error instanceof HomeError && error.status === 30 && /nowhere/.test(error.message));
});

test('a zero byte does not cut a path', () => {
    assert.throws(() => Model.load(path + '\0x'), /zero bytes/);
});

test('wrong types are named', () => {
    for (const [ids, text] of [
        [{user: [1n]}, /field "user" is object, expected a BigUint64Array/],
        [{user: null}, /field "user"/],
        [{user: ROWS}, /field "user" is number, expected a BigUint64Array/],
        [{liked: {ids: [1n], offsets: batch.ids.liked.offsets}}, /field "liked"/],
    ])
        assert.throws(() => model.predict({...batch, ids: {...batch.ids, ...ids}}), {name: 'TypeError', message: text});
    assert.throws(() => model.predict({...batch, dense: ROWS}), /dense is number, expected a Float32Array/);
});

test('no rows', () => {
    const none = new BigUint64Array();
    assert.equal(model.predict({ids: {user: none, liked: none, watched: {ids: none, offsets: [0]}}}).length, 0);
});

test('asynchronous errors too', async () => {
    const ids = {...batch.ids, liked: {ids: batch.ids.liked.ids, offsets: [2, ...batch.ids.liked.offsets.slice(1)]}};
    await assert.rejects(model.predictAsync({...batch, ids}), {name: 'HomeError', status: 3});
});

test('rows may have a stride', () => {
    const stride = model.denseWidth + 2;
    for (const length of [ROWS * stride, ROWS * stride - 2]) {
        const dense = new Float32Array(length).fill(NaN);
        for (let r = 0; r < ROWS; r++)
            dense.set(batch.dense.subarray(r * model.denseWidth, (r + 1) * model.denseWidth), r * stride);
        assert.deepEqual(model.predict({...batch, dense, stride}), expected);
    }
});

test('wrong lengths never reach C', () => {
    const {dense, ids} = batch;
    for (const wrong of [
        {dense: dense.subarray(1), ids},
        {dense: dense.subarray(3), ids},
        {ids},
        {dense},
        {dense, ids, stride: 2},
        {dense, ids, stride: -3},
        {dense, ids, stride: NaN},
        {dense, ids: {...ids, unknown: ids.user}},
        {dense, ids: {...ids, user: ids.user.subarray(1)}},
        {dense, ids: {...ids, liked: {ids: ids.liked.ids.subarray(1), offsets: ids.liked.offsets}}},
        {dense, ids: {...ids, liked: {ids: ids.liked.ids, offsets: []}}},
        {dense, ids: {...ids, liked: {ids: ids.liked.ids, offsets: ids.liked.offsets.slice(1)}}},
    ])
        assert.throws(() => model.predict(wrong), RangeError);
});

test('views of larger buffers are read where they begin', () => {
    const view = (values, Shared) => {
        const {constructor, BYTES_PER_ELEMENT: size, length} = values;
        const buffer = new Shared((length + 5) * size);
        new Uint8Array(buffer).fill(255);
        const part = new constructor(buffer, 3 * size, length);
        part.set(values);
        return part;
    };
    for (const Shared of [ArrayBuffer, SharedArrayBuffer]) {
        const {liked, watched} = batch.ids;
        const ids = {
            user: view(batch.ids.user, Shared),
            liked: {ids: view(liked.ids, Shared), offsets: view(Uint32Array.from(liked.offsets, Number), Shared)},
            watched: {ids: view(watched.ids, Shared),
                      offsets: view(BigUint64Array.from(watched.offsets, BigInt), Shared)},
        };
        assert.deepEqual(model.predict({dense: view(batch.dense, Shared), ids}), expected);
    }
    const gone = Float32Array.from(batch.dense);
    structuredClone(gone, {transfer: [gone.buffer]});
    assert.throws(() => model.predict({...batch, dense: gone}));
    for (const dense of [Float64Array.from(batch.dense), Buffer.from(batch.dense.buffer), [...batch.dense],
                         new DataView(batch.dense.buffer)])
        assert.throws(() => model.predict({...batch, dense}), /dense is object, expected a Float32Array/);
});

test('offsets do not wrap around', () => {
    const {ids, offsets} = batch.ids.liked;
    for (const wrong of [2n ** 64n, -1, 2n ** 64n + 1n]) {
        const changed = [...offsets];
        changed[1] = wrong;
        assert.throws(() => model.predict({...batch, ids: {...batch.ids, liked: {ids, offsets: changed}}}),
                      {name: 'RangeError', message: /an offset of field "liked" is/});
    }
});

test('a worker may end during a call', async () => {
    const program = `
        import {Model} from ${JSON.stringify(new URL('home.js', import.meta.url).href)};
        import {makeRows} from ${JSON.stringify(new URL('rows.js', import.meta.url).href)};
        import {parentPort} from 'node:worker_threads';
        const model = Model.load(${JSON.stringify(path)});
        const batch = makeRows(model);
        parentPort.postMessage('begins');
        for (;;)
            await Promise.all(Array.from({length: 8}, () => model.predictAsync(batch)));`;
    for (let i = 0; i < 5; i++) {
        const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(program)));
        await once(worker, 'message');
        await new Promise((resolve) => setTimeout(resolve, 5 * i));
        await worker.terminate();
    }
    assert.deepEqual(model.predict(batch), expected);
});

test('a frozen copy outlives its model', () => {
    const other = Model.load(path);
    const frozen = other.freeze();
    other.close();
    frozen.predict(batch).forEach((p, i) => assert.ok(Math.abs(p - expected[i]) <= 1e-5));
});

test('a closed model refuses, calls under way end well', async () => {
    const other = Model.load(path);
    const calls = Array.from({length: 20}, () => other.predictAsync(batch));
    other.close();
    other.close();
    for (const predictions of await Promise.all(calls))
        assert.deepEqual(predictions, expected);
    for (const call of [() => other.predict(batch), () => other.freeze(), () => other.share()])
        assert.throws(call, /closed/);
    await assert.rejects(other.predictAsync(batch), /closed/);
});

test('input may change while a call is under way', async () => {
    const dense = Float32Array.from(batch.dense);
    const call = model.predictAsync({...batch, dense});
    dense.fill(NaN);
    structuredClone(dense, {transfer: [dense.buffer]});
    assert.deepEqual(await call, expected);
});

test('a token is good for one taker', () => {
    const other = Model.load(path);
    const token = other.share();
    other.close();
    const taken = Model.from(token);
    assert.deepEqual(taken.predict(batch), expected);
    assert.throws(() => Model.from(token), /taken/);
    taken.close();
});

test('forgotten models are freed', () => {
    // 400 KB each: kept, they would be more than a gigabyte.
    execFileSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', `
        import {Model} from ${JSON.stringify(new URL('home.js', import.meta.url).href)};
        const before = process.memoryUsage().rss;
        for (let i = 0; i < 3000; i++) {
            Model.load(${JSON.stringify(path)});
            if (i % 100 === 0) {
                gc();
                await new Promise((resolve) => setImmediate(resolve));
            }
        }
        process.exitCode = process.memoryUsage().rss - before > 400e6 ? 1 : 0;
    `], {stdio: 'inherit'});
});

test('weights of ids count', () => {
    const weigh = (name, weights) => {
        const field = batch.ids[name];
        return {...batch, ids: {...batch.ids, [name]: field.ids ? {...field, weights} : {ids: field, weights}}};
    };
    const length = (name) => (batch.ids[name].ids ?? batch.ids[name]).length;
    for (const name of model.fields)
        assert.deepEqual(model.predict(weigh(name, new Float32Array(length(name)).fill(1))), expected);
    const weights = new Float32Array(length('watched')).fill(1);
    weights[0] = 3;
    assert.notDeepEqual(model.predict(weigh('watched', weights)), expected);
    assert.throws(() => model.predict(weigh('liked', new Float32Array(length('liked')).fill(-1))),
                  {name: 'HomeError', status: 3}); // of a mean
    assert.throws(() => model.predict(weigh('user', new Float32Array(63))),
                  {name: 'RangeError', message: '63 weights of field "user", which has 64 ids'});
    assert.throws(() => model.predict(weigh('user', [1])), /weights of field "user" is object/);
});

test('logits are what predictions come from', async () => {
    const {predictions, logits} = model.predictLogits(batch);
    assert.deepEqual(predictions, expected);
    logits.forEach((x, i) => assert.ok(Math.abs(1 / (1 + Math.exp(-x)) - expected[i]) < 1e-6));
    assert.deepEqual(await model.predictLogitsAsync(batch), {predictions, logits});
});

test('loads frozen and within limits', () => {
    const frozen = Model.load(path, {frozen: true});
    assert.deepEqual(frozen.predict(batch), model.freeze().predict(batch));
    assert.throws(() => frozen.freeze(), {name: 'HomeError', status: 2});
    assert.throws(() => Model.load(path, {memoryLimit: 1000}), {name: 'HomeError', status: 11});
    assert.throws(() => Model.load(path, {memoryLimit: -1}), RangeError);
});

test('metrics', () => {
    const rows = {
        predictions: Float32Array.of(0.1, 0.4, 0.35, 0.8), labels: Float32Array.of(0, 0, 1, 1),
        users: BigUint64Array.of(7n, NO_USER, 7n, NO_USER), rowWeights: Float32Array.of(2, 1, 1, 1),
    };
    const metrics = new Metrics(1);
    metrics.add(rows);
    const {noUserRows, gaucUsers, weight, auc} = metrics.result(0);
    assert.deepEqual({noUserRows, gaucUsers, weight, auc}, {noUserRows: 2, gaucUsers: 1, weight: 5, auc: 5 / 6});
    const other = new Metrics(1, 1 << 20);
    other.merge(metrics);
    other.mergeBytes(metrics.bytes());
    assert.equal(other.result(0).rows, 8);
    assert.ok(Number.isNaN(other.result(0).rmse));
    assert.throws(() => other.mergeBytes(metrics.bytes().subarray(1)), HomeError);
    assert.throws(() => other.result(1), {name: 'HomeError', status: 4});
    for (const wrong of [{predictions: new Float32Array(3)}, {users: new BigUint64Array(3)},
                         {rowWeights: new Float32Array(5)}, {weights: new Float32Array(3)}])
        assert.throws(() => metrics.add({...rows, ...wrong}), RangeError);
    assert.throws(() => new Metrics(2).add({...rows, predictions: new Float32Array(3), labels: new Float32Array(3)}),
                  RangeError);
    assert.throws(() => metrics.add({...rows, labels: [0, 0, 1, 1]}), /labels is object, expected a Float32Array/);
    other.reset();
    assert.equal(other.result(0).rows, 0);
    other.close();
    other.close();
    assert.throws(() => other.add(rows), /closed/);
    assert.throws(() => new Metrics(1, 10), HomeError);
});
