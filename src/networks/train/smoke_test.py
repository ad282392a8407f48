"""Does the training code run? A few labelled faces, a few steps, a stop and a resume, export, a restart from the export.

  python3 smoke_test.py [--data DATA --models MODELS]

DATA holds the crops' tars, MODELS mobilefacenet-128.onnx and face-reidentification-retail-0095.onnx. Without them, or
without torch, cv2 or onnx, it says that it was skipped and succeeds. Takes about a minute on one core. It shows that the
loss falls and that nothing breaks, not that the result is good: evaluate.py measures that.
"""
import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TEACHERS = ('mobilefacenet-128.onnx', 'face-reidentification-retail-0095.onnx')


def reason_to_skip(args):
    for module in ('torch', 'cv2', 'onnx', 'numpy'):
        if importlib.util.find_spec(module) is None:
            return f'python module {module} is not installed'
    if not args.data or not os.path.exists(os.path.join(args.data, 'crops-00.tar')):
        return 'no folder with crops (--data)'
    if not args.models or not all(os.path.exists(os.path.join(args.models, name)) for name in TEACHERS):
        return 'no folder with the teachers (--models)'
    return None


def run(script, *arguments):
    command = [sys.executable, os.path.join(HERE, script)] + [str(a) for a in arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f'not ok - {script}\n{done.stdout}')
    return done.stdout


def check(condition, what):
    if not condition:
        raise SystemExit(f'not ok - {what}')
    print('ok -', what, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data')
    parser.add_argument('--models')
    args = parser.parse_args()
    if reason := reason_to_skip(args):
        print('skipped:', reason)
        return
    basis = os.path.join(HERE, 'target_basis.npz')
    mobilefacenet, retail = (os.path.join(args.models, name) for name in TEACHERS)
    teachers = ['--mobilefacenet', mobilefacenet, '--retail', retail]
    with tempfile.TemporaryDirectory() as folder:
        bank, out, onnx = (os.path.join(folder, name) for name in ('bank', 'run', 'student.onnx'))
        make = ['--pack', args.data, *teachers, '--basis', basis, '--bank', bank, '--capacity', 128]
        run('producer.py', *make, '--rows', 64)
        run('producer.py', *make, '--rows', 160)             # goes on, and wraps the ring
        check(os.path.getsize(os.path.join(bank, 'picture0.npy')) > 128 * 128 * 128 * 3, 'bank of labelled faces')
        learn = ['--bank', bank, '--basis', basis, '--batch', 16, '--minimum-rows', 64, '--warmup', 4]
        run('train.py', *learn, '--out', out, '--samples', 320)
        text = run('train.py', *learn, '--out', out, '--samples', 1600, '--cooldown-samples', 800)
        check('at 320 samples' in text, 'training goes on from its state')
        found = re.findall(r'cos (-?[0-9.]+)', text)
        check(len(found) > 1 and float(found[-1]) > float(found[0]), f'the cosine rises ({found[0]} to {found[-1]})')
        text = run('export.py', os.path.join(out, 'final.pt'), onnx, '--bank', bank)
        check(os.path.getsize(onnx) <= 3.5e6, 'export agrees with torch: ' + text.strip())
        text = run('train.py', *learn, '--out', os.path.join(folder, 'second'), '--init', onnx, '--samples', 1664,
                   '--helpers', 1)
        check('at 1600 samples' in text, 'training starts from an exported network')


if __name__ == '__main__':
    main()
