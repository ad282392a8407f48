"""Does the training code run, for the embedder, the detector and the landmark network?

  python3 smoke_test.py [--data DATA --models MODELS]

DATA holds the crops' tars, MODELS mobilefacenet-128.onnx, face-reidentification-retail-0095.onnx and YuNet's two files.
Without them, or without torch, cv2 or onnx, it says that it was skipped and succeeds. Takes three minutes on one core. It
shows that the losses fall and that nothing breaks, not that the result is good: evaluate.py, detector_evaluate.py and
landmark_evaluate.py measure that.
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
YUNET = ('yunet_n_320_320.onnx', 'yunet_n_640_640.onnx')


def reason_to_skip(args):
    for module in ('torch', 'cv2', 'onnx', 'numpy'):
        if importlib.util.find_spec(module) is None:
            return f'python module {module} is not installed'
    if not args.data or not os.path.exists(os.path.join(args.data, 'crops-00.tar')):
        return 'no folder with crops (--data)'
    if not args.models or not all(os.path.exists(os.path.join(args.models, name)) for name in TEACHERS + YUNET):
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


def embedder(args, folder):
    """A few labelled faces, a few steps, a stop and a resume, export, a restart from the export."""
    basis = os.path.join(HERE, 'target_basis.npz')
    mobilefacenet, retail = (os.path.join(args.models, name) for name in TEACHERS)
    teachers = ['--mobilefacenet', mobilefacenet, '--retail', retail]
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


def detector(args, folder):
    """YuNet's labels for some crops, a few steps on scenes of them, a stop and a resume, export, a restart from it."""
    import cv2
    import numpy as np
    crops, pictures, empty, out, onnx = (os.path.join(folder, name) for name in (
        'crops', 'pictures', 'empty', 'detector_run', 'detector.onnx'))
    os.mkdir(empty)
    rng = np.random.default_rng(1)
    for i in range(20):
        small = rng.integers(0, 256, (5 + i, 7 + i, 3)).astype(np.uint8)
        cv2.imwrite(os.path.join(empty, f'{i}.png'), cv2.resize(small, (320, 240), interpolation=cv2.INTER_CUBIC))
    run('detector_store.py', '--yunet', args.models, '--out', crops, '--pack', args.data, '--limit', 150)
    run('detector_store.py', '--yunet', args.models, '--out', pictures, '--pictures', f'noise={empty}')
    check(os.path.getsize(crops + '.bin') > 100 * 160 * 160 * 3, 'labelled crops')
    learn = ['--crops', crops, '--pictures', pictures, '--warmup', 20]
    run('detector_train.py', *learn, '--out', out, '--samples', 160)
    text = run('detector_train.py', *learn, '--out', out, '--samples', 3360, '--cooldown-samples', 1600)
    check('at 160 samples' in text, 'the detector goes on from its state')
    found = re.findall(r'points ([0-9.]+)', text)
    check(float(found[-1]) < 0.9 * float(found[0]), f'the landmarks come nearer ({found[0]} to {found[-1]})')
    hard = os.path.join(folder, 'hard.npz')
    text = run('detector_mine.py', os.path.join(out, 'state.pt'), '--pictures', pictures, '--out', hard, '--threshold',
               0.01, '--yunet', args.models, '--sheet', os.path.join(folder, 'hard.png'))
    check(' 0 places' not in text, 'places that look like faces: ' + text.strip())
    text = run('detector_train.py', *learn, '--out', out, '--samples', 1792, '--hard', hard, '--freeze-stem')
    check('stopped at 1792' in text, 'the detector learns from them')
    text = run('detector_export.py', os.path.join(out, 'final.pt'), onnx, '--crops', crops, '--pictures', pictures)
    check(os.path.getsize(onnx) <= 1e6, 'export agrees with torch: ' + text.strip())
    text = run('detector_train.py', *learn, '--out', os.path.join(folder, 'detector_second'), '--init', onnx,
               '--samples', 1808)
    check('at 1792 samples' in text, 'the detector starts from an exported network')
    text = run('detector_evaluate.py', onnx, '--yunet', args.models, '--crops', crops, '--pictures', pictures,
               '--photos', empty, '--mosaics', 3, '--empty', 3, '--turned', 2, '--self')
    check('found' in text and 'turned by 180' in text, 'the detector is compared with YuNet')


def views_are_whole(faces):
    """Damage is drawn at random, and some kinds are rare: a few hundred views have all of them."""
    from detector_store import Store
    from landmark_view import FaceViews
    store = Store(faces)
    views = FaceViews(store, 1)
    return all(crop.shape == (64, 64, 3) and points.shape == (5, 2)
               for i in range(400) for crop, points, _ in views(i % len(store)))


def labels_move_along():
    """A face whose nose tip is the only light in the picture, and a detector that sees it two pixels to the right."""
    import numpy as np
    from landmark_view import FaceViews

    class Plain(FaceViews):
        def _damage(self, out, smallest):
            return out
    y, x = np.mgrid[:160, :160]
    light = (255 * np.exp(-((x - 70.25) ** 2 + (y - 92.5) ** 2) / 72)).astype(np.uint8)
    face = np.array([[40, 36, 80, 100, 62, 68, 95, 70, 70.25, 92.5, 66, 112, 92, 113, 0.02]], np.float32)
    detected = dict(points=face[:, 4:14].reshape(1, 1, 5, 2) + (2, 0), size=np.array([[100.0]]))
    views = Plain([(np.repeat(light[..., None], 3, 2), face)], 2, detected=detected)
    views.occluder._occlude = lambda picture: picture
    errors = []
    for _ in range(60):
        patch, moved, given = views._picture(0)
        weight = patch[..., 0] / patch[..., 0].sum(dtype=float)
        grid = np.mgrid[:len(patch), :len(patch)]
        errors.append(np.hypot((weight * grid[1]).sum() - moved[8], (weight * grid[0]).sum() - moved[9]))
        right = 1 if moved[4] + moved[6] > 2 * moved[8] else -1         # unless mirrored, the eyes' middle is right of it
        errors.append(np.abs(given[2] - moved[8:10] - (right * 2 * len(patch) / 160, 0)).max())
    return max(errors) < 0.1


def pasted_faces_are_labelled(faces):
    """In the middle of their pictures, with landmarks inside the box."""
    import numpy as np
    from detector_store import Store
    store = Store(faces)
    pasted = np.array([store.faces_of(i)[0] for i in np.flatnonzero(store.source == 'mosaics')])
    box, points = pasted[:, :4], pasted[:, 4:14].reshape(-1, 5, 2) - pasted[:, None, :2]
    middle = box[:, :2] + box[:, 2:] / 2
    return len(pasted) and np.abs(middle - 80).max() < 24 and ((points > 0) & (points < box[:, None, 2:])).all()


def photo_with_face(crops, folder):
    """A folder with one photo, a crop on grey."""
    import cv2
    from detector_store import Store
    store, photos = Store(crops), os.path.join(folder, 'photos')
    os.mkdir(photos)
    best = store[store.best.argmax()][0]
    photo = cv2.copyMakeBorder(best, 80, 80, 80, 80, cv2.BORDER_CONSTANT, value=(90, 90, 90))
    cv2.imwrite(os.path.join(photos, 'face.png'), photo)
    return photos


def landmarks(args, folder):
    """Steady labels for the detector's crops, a few steps, a stop and a resume, export, a restart from the export."""
    crops, pictures, faces, looks, out, onnx = (os.path.join(folder, name) for name in (
        'crops', 'pictures', 'faces', 'looks', 'landmark_run', 'landmarks.onnx'))
    run('landmark_store.py', '--yunet', args.models, '--crops', crops, '--pictures', pictures, '--mosaics', 3, '--out', faces,
        '--limit', 150)
    check(pasted_faces_are_labelled(faces), 'faces of mosaics are in their places')
    text = run('landmark_detected.py', '--faces', faces, '--detector', os.path.join(folder, 'detector.onnx'))
    check('found' in text, 'a detector looks at the faces')
    check(views_are_whole(faces), 'views with every kind of damage')
    check(labels_move_along(), 'labels of mirrored and reduced faces are where the landmarks are')
    learn = ['--faces', faces, '--warmup', 20, '--batch', 48]
    run('landmark_train.py', *learn, '--out', out, '--samples', 480)
    text = run('landmark_train.py', *learn, '--out', out, '--samples', 9600, '--cooldown-samples', 4800)
    check('at 480 samples' in text, 'the landmark network goes on from its state')
    found = re.findall(r'distance ([0-9.]+)', text)
    check(float(found[-1]) < 0.9 * float(found[0]), f'the landmarks come nearer ({found[0]} to {found[-1]})')
    text = run('landmark_export.py', os.path.join(out, 'final.pt'), onnx, '--faces', faces)
    check(os.path.getsize(onnx) <= 1.5e6, 'export agrees with torch: ' + text.strip())
    text = run('landmark_train.py', *learn, '--out', os.path.join(folder, 'landmark_second'), '--init', onnx,
               '--samples', 9744, '--helpers', 1)
    check('at 9600 samples' in text, 'the landmark network starts from an exported one')
    run('landmark_store.py', '--yunet', args.models, '--crops', crops, '--out', looks, '--held-out', '--looks', 4,
        '--limit', 4)
    compare = ['landmark_evaluate.py', onnx, '--yunet', args.models, '--crops', crops, '--pictures', pictures,
               '--photos', photo_with_face(crops, folder), '--mosaics', 3, '--faces', looks,
               '--detector', os.path.join(folder, 'detector.onnx'), '--cache', os.path.join(folder, 'answers')]
    text = run(*compare)
    seen = re.findall(r'(photos|mosaics), (box|points): ([0-9]+) faces', text)
    check(len(seen) == 4 and all(int(count) for *_, count in seen), 'the landmark network is compared with YuNet')
    check(re.search(r'72 px +[1-9].*yunet +[0-9.]+ of [1-9][0-9]* faces', text), 'and with many looks')
    check(run(*compare) == text, "with YuNet's answers kept, the same")
    text = run('landmark_recognition.py', onnx, '--embedder', os.path.join(folder, 'student.onnx'), '--data', args.data)
    check('refined' in text, 'crops aligned anew are recognised')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data')
    parser.add_argument('--models')
    args = parser.parse_args()
    if reason := reason_to_skip(args):
        print('skipped:', reason)
        return
    with tempfile.TemporaryDirectory() as folder:
        embedder(args, folder)
        detector(args, folder)
        landmarks(args, folder)


if __name__ == '__main__':
    main()
