/*
 * run_ort.js: run ONNX models with ONNX Runtime, for make_ops.py.
 *
 * usage: node run_ort.js <onnxruntime-node folder> <folder of cases>
 *
 * The folder holds cases.json, a list of {model, inputs: [{name, dims,
 * file}], outputs: [{name, file}]}; every output is written to its file, and
 * its type and dimensions to results.json.
 */
'use strict';
const fs = require('fs');
const path = require('path');
const ort = require(path.resolve(process.argv[2]));
const folder = process.argv[3];

async function runCase(test) {
  const session = await ort.InferenceSession.create(
    path.join(folder, test.model),
    {graphOptimizationLevel: 'disabled', intraOpNumThreads: 1});
  const feeds = {};
  for (const input of test.inputs) {
    const bytes = fs.readFileSync(path.join(folder, input.file));
    const data = new Float32Array(bytes.buffer, bytes.byteOffset,
                                  bytes.length / 4);
    feeds[input.name] = new ort.Tensor('float32', Float32Array.from(data),
                                       input.dims);
  }
  const results = await session.run(feeds);
  return test.outputs.map((output) => {
    const tensor = results[output.name];
    const data = tensor.data;
    fs.writeFileSync(path.join(folder, output.file),
                     Buffer.from(data.buffer, data.byteOffset,
                                 data.byteLength));
    return {type: tensor.type, dims: tensor.dims};
  });
}

async function main() {
  const cases = JSON.parse(fs.readFileSync(path.join(folder, 'cases.json')));
  const results = [];
  for (const test of cases) {
    try {
      results.push(await runCase(test));
    } catch (problem) {
      results.push({error: String(problem)});
    }
  }
  fs.writeFileSync(path.join(folder, 'results.json'), JSON.stringify(results));
}

main();
