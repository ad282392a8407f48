"""Measure false match rates and write the threshold rows that come with the extension.

  python3 calibrate.py --data DATA --models MODELS --psql 'psql -d scratch' --cache CACHE [--portraits FOLDER]
                       [--embedder ../embedder.onnx] [--sql ../../../sql/45_thresholds.sql]

DATA holds the crops' tars, crops.tsv and benchmark/; MODELS mobilefacenet-128.onnx, face-reidentification-retail-0095.onnx
and yunet_n_dynamic.onnx; scratch is a database of a running server with the extension, to which the networks are loaded.
Embeddings are computed once per network and kept in CACHE (ten CPU minutes each); so after new weights of the embedder the
same command measures only those.

False match rate: all pairs of CelebA crops, without the pairs that probably show one person. CelebA has several photos of
most people, and one pair in 10,000 of these is genuine: uncleaned, nothing below 1e-3 could be measured. A judge decides,
for a teacher the other one, for the student both: pairs over the judge's similarity at which a rate of 1e-5 is left between
CelebA and generated faces, who cannot be the same person, are dropped. A higher cut leaves genuine pairs in (of the nearest
pairs that a cut at 1e-6 leaves, most are, to the eye), a lower one takes out strangers who look alike. The report has the
rate on pairs with generated faces, which need no judge, for comparison.

False non-match rate: the genuine pairs of pairs.tsv, half from imfdb8 and half from orl40.

Printed, too: the rate on other pairs of strangers at the thresholds; on crops that training saw and on held-out ones;
errors on the fictional portraits, from whole photos in which YuNet finds the faces, for every network.
"""
import argparse
import csv
import glob
import os
import sys
import time

import numpy as np
import torch

from calibrate_faces import Faces, Server, embed_all, sha256_of
from onnx_graph import OnnxGraph
from teachers import WEIGHTS, student_input

RATES = [10.0 ** -k for k in range(1, 7)]
STEP = 1e-5                # of thresholds
JUDGE_RATE = 1e-5
# Keys of a descriptor that do not move embeddings, as in src/pg/metrics.c.
DETECTION_KEYS = 'detector,detection_threshold,detection_size,min_face_size,max_faces,weight_storage'
STUDENT = 'facerec-embedder'


class Network:
    """A network, its crops, and whether it is measured with flip averaging, too."""

    def __init__(self, name, path, preset, side, has_flip=False):
        self.name, self.path, self.preset, self.side = name, path, preset, side
        self.sha256 = sha256_of(path)
        self.variants = {name: False, name + '-flip': True} if has_flip else {name: False}
        self.models = {}       # variant: name in the database

    def load(self, server):
        for variant, flip in self.variants.items():
            descriptor = '{"detector": "%s", "flip": %s}' % (server.detector, str(flip).lower())
            self.models[variant] = server.load(self.path, self.preset, descriptor, flip)

    def embeddings(self, server, faces, cache):
        """{variant: unit vectors [n, dims]}"""
        def path(flip):
            return os.path.join(cache, f'{self.sha256[:12]}-{"flip" if flip else "plain"}.npy')
        return {variant: unit(embed_all(server, faces, self.models[variant], self.side, path(flip)))
                for variant, flip in self.variants.items()}

    def fingerprint(self, server, variant):
        """Of the network: the model's without detection (src/pg/metrics.c, network_fingerprint)."""
        return server.run(f"""SELECT substring(encode(sha256(sha256 || convert_to(format(' preset=%s dims=%s descriptor=%s',
            preset, dims, descriptor - '{{{DETECTION_KEYS}}}'::text[]), 'UTF8')), 'hex') FOR 8)
            FROM facerec_models WHERE name = '{self.models[variant]}';""").strip()


def unit(values):
    return values / np.linalg.norm(values, axis=1, keepdims=True)


class Distances:
    """Numbers of pairs by cosine distance in steps of STEP, rounded up: counts[k] pairs lie in ((k - 1) STEP, k STEP]."""

    def __init__(self):
        self.counts = np.zeros(int(2 / STEP) + 2, np.int64)

    def add(self, similarity):
        steps = np.ceil((1 - similarity.ravel()) / STEP).astype(np.int32).clip(0, len(self.counts) - 1)
        self.counts += np.bincount(steps, minlength=len(self.counts))
        return self

    @property
    def count(self):
        return int(self.counts.sum())

    def threshold(self, rate):
        """The largest distance up to which at most this share of the pairs lies."""
        return float((np.searchsorted(np.cumsum(self.counts), rate * self.count, 'right') - 1) * STEP)

    def rate(self, threshold):
        return self.counts[:int(round(threshold / STEP)) + 1].sum() / self.count


def compare(a, b=None, is_same_person=None):
    """Distances between all rows of a and of b, or among those of a. is_same_person(span) is a mask of pairs to leave out,
    rows `span` of a against all of b."""
    distances, is_within = Distances(), b is None
    b = a if is_within else b
    for start in range(0, len(a), 500):
        span = slice(start, min(start + 500, len(a)))
        similarity = a[span] @ b.T
        keep = np.ones(similarity.shape, bool)
        if is_within:
            keep &= np.arange(len(b))[None] > np.arange(span.start, span.stop)[:, None]
        if is_same_person:
            keep &= ~is_same_person(span)
        distances.add(similarity[keep])
    return distances


class Judge:
    """Which pairs of CelebA crops show one person: by another network, or by a weighted pair of them."""

    def __init__(self, parts, celeba, generated):
        joined = np.concatenate([weight ** .5 * part for weight, part in parts], 1)
        self.celeba = joined[celeba]
        self.cut = 1 - compare(self.celeba, joined[generated]).threshold(JUDGE_RATE)

    def is_same(self, a=slice(None), b=slice(None)):
        """For compare(): the pairs of crops a and b (indices among CelebA's)."""
        rows, columns = self.celeba[a], self.celeba[b].T
        return lambda span: rows[span] @ columns >= self.cut


def check_against_torch(network, server, faces):
    """The server's embeddings of 20 crops, with and without flip averaging, against the ONNX file run by torch."""
    pictures, graph = np.stack([faces.picture(i, network.side) for i in range(0, 2000, 100)]), OnnxGraph(network.path)

    def run(pictures):
        x = student_input(pictures) if network.side == 112 else torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2).float()
        return unit(graph(x).numpy())
    expected = run(pictures)
    for variant, flip in network.variants.items():
        if flip:
            expected = unit(expected + run(pictures[:, :, ::-1]))
        cosine = (unit(server.embed(pictures, network.models[variant])) * expected).sum(1).min()
        print(f'{variant}: least cosine to torch {cosine:.6f}', flush=True)
        if cosine < 0.9999:
            sys.exit('the server computes something else')


def genuine_similarities(faces, embeddings):
    """{set: similarities} of the benchmark's genuine pairs; good: near-frontal and eyes 16 px apart."""
    index, out = {name: i for i, name in enumerate(faces.names)}, {'imfdb8': [], 'good': [], 'orl40': []}
    for a, b, same in faces.pairs:
        if same != '1':
            continue
        similarity = float(embeddings[index[a]] @ embeddings[index[b]])
        out[a.split('/')[0]].append(similarity)
        if a.startswith('imfdb8') and all(faces.eye_px[f] >= 16 and abs(faces.yaw[f]) < 0.25 for f in (a, b)):
            out['good'].append(similarity)
    return {name: np.array(values) for name, values in out.items()}


def portrait_distances(server, folder, model):
    """Distances of all pairs of the portraits, from whole photos: genuine, impostor."""
    paths = sorted(glob.glob(os.path.join(folder, '[0-9][0-9]-*.jpg')))
    script = ['CREATE TEMP TABLE photo (who text, data bytea);\nCOPY photo FROM STDIN;\n']
    for path in paths:
        with open(path, 'rb') as file:
            script.append('%s\t\\\\x%s\n' % (os.path.basename(path).split('-')[1], file.read().hex()))
    script.append(f"""\\.
        CREATE TEMP TABLE face AS SELECT row_number() OVER () AS n, who, face_embed(data, '{model}') AS e FROM photo;
        SELECT a.who = b.who, a.e <=> b.e FROM face a JOIN face b ON a.n < b.n;""")
    rows = [line.split('|') for line in server.run(''.join(script)).splitlines()]
    return (np.array([float(d) for same, d in rows if same == 't']), np.array([float(d) for same, d in rows if same == 'f']))


def others(faces, embeddings, age):
    """Other pairs of strangers: {what: Distances}. UTKFace has photos of one person, too, but few."""
    source = faces.source
    person = np.array(['/'.join(name.split('/')[:2]) for name in faces.names])
    adult, child = (source == 'utkface') & (age >= 18), (source == 'utkface') & (age < 5)
    generated, celeba = np.isin(source, ('interfacegan', 'ai_portraits')), source == 'celeba'
    out = {
        'CelebA x generated': compare(embeddings[celeba], embeddings[generated]),
        'CelebA x UTKFace adults': compare(embeddings[celeba], embeddings[adult]),
    }
    for name in ('imfdb8', 'orl40'):
        rows = np.flatnonzero(source == name)
        out[name] = compare(embeddings[rows], None, lambda span, rows=rows: person[rows[span], None] == person[rows][None])
    out['UTKFace adults'] = compare(embeddings[adult])
    out['UTKFace under 5'] = compare(embeddings[child])
    return out


def read_ages(folder, faces):
    """Age by UTKFace's file names, -1 for all others. Used for nothing but to say where the thresholds do not hold."""
    age = np.full(len(faces.names), -1)
    with open(os.path.join(folder, 'crops.tsv')) as file:
        origin = {row['file']: row['origin'] for row in csv.DictReader(file, delimiter='\t', quoting=csv.QUOTE_NONE)}
    for i, name in enumerate(faces.names):
        if faces.source[i] == 'utkface':
            age[i] = int(os.path.basename(origin[name]).split('_')[0])
    return age


def line(name, values, form='8.2e'):
    print(f'  {name:34s}', '  '.join(f'{value:{form}}' for value in values))


def report(variant, impostor, genuine, faces, embeddings, age, portraits):
    """Print what is behind the rows of a variant; -> rows (fmr, threshold, fnmr)."""
    thresholds = [impostor.threshold(rate) for rate in RATES]
    similarity = [1 - t for t in thresholds]
    print()
    line(variant, RATES)
    line('similarity', similarity, '8.4f')
    for name, values in genuine.items():
        line(f'FNMR, % {name} ({len(values)})', [100 * (values < s).mean() for s in similarity], '8.2f')
    if portraits:
        line(f'FNMR, % portraits ({len(portraits[0])})', [100 * (portraits[0] > t).mean() for t in thresholds], '8.2f')
        line(f'FMR portraits ({len(portraits[1])})', [(portraits[1] <= t).mean() for t in thresholds])
    for name, distances in others(faces, embeddings, age).items():
        line(f'FMR {name} ({distances.count / 1e6:.2f}M)', [distances.rate(t) for t in thresholds])
    pooled = np.concatenate([genuine['imfdb8'], genuine['orl40']])
    return [(rate, t, float((pooled < 1 - t).mean())) for rate, t in zip(RATES, thresholds)]


def report_held_out(embeddings, is_held_out, judge, thresholds):
    """Are strangers nearer or farther on crops that training saw than on others? `embeddings` are CelebA's."""
    seen, unseen = np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
    for name, distances in (('both seen in training', compare(embeddings[seen], None, judge.is_same(seen, seen))),
                            ('one of them held out', compare(embeddings[unseen], embeddings[seen],
                                                             judge.is_same(unseen, seen)))):
        line(f'FMR {name} ({distances.count / 1e6:.1f}M)', [distances.rate(t) for t in thresholds])


SQL = """-- ---- thresholds that come with the extension ---------------------------------
-- Written by src/networks/train/calibrate.py; src/networks/README says more.
-- The rows are of networks, whatever the detector: see 40_metrics.sql.

INSERT INTO facerec_thresholds
	(model, fmr, threshold, fnmr, n_impostor, n_genuine, source, calibrated_at)
SELECT point.*, {genuine_count},
	'strangers: CelebA crops, but for pairs that ' || CASE WHEN model ~ '^{student}' THEN 'its teachers take' ELSE 'another network takes' END || ' for one person; same person: 1,500 pairs of film frames (imfdb8; small, many in profile), 1,500 of portraits (orl40)'
	|| CASE WHEN model ~ '^{student}' THEN '; most of these crops were trained on, unlabelled' ELSE '' END,
	'{date}'
FROM (VALUES
{rows}
) AS point (model, fmr, threshold, fnmr, n_impostor);
"""


def write_sql(path, blocks, genuine_count):
    """blocks: (label of the network, impostor pairs, rows)."""
    rows = [f"\t('{label}', {rate:.0e}, {threshold:.5f}, {fnmr:.4f}, {count})".replace('e-0', 'e-')
            for label, count, points in blocks for rate, threshold, fnmr in points if rate * count >= 3]
    text = SQL.format(student=STUDENT, genuine_count=genuine_count, date=time.strftime('%Y-%m-%d 00:00+00', time.gmtime()), rows=',\n'.join(rows))
    with open(path + '.tmp', 'w') as file:
        file.write(text)
    os.replace(path + '.tmp', path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument('--data', required=True)
    parser.add_argument('--models', required=True)
    parser.add_argument('--psql', required=True)
    parser.add_argument('--cache', required=True)
    parser.add_argument('--portraits')
    parser.add_argument('--embedder', default=os.path.join(here, '..', 'embedder.onnx'))
    parser.add_argument('--sql', default=os.path.join(here, '..', '..', '..', 'sql', '45_thresholds.sql'))
    args = parser.parse_args()
    torch.set_num_threads(1)
    os.makedirs(args.cache, exist_ok=True)
    faces, server = Faces(args.data), Server(args.psql)
    age = read_ages(args.data, faces)
    server.detector = server.load(os.path.join(args.models, 'yunet_n_dynamic.onnx'), 'yunet', '{}')
    networks = [
        Network('mobilefacenet-128', os.path.join(args.models, 'mobilefacenet-128.onnx'), 'mobilefacenet', 112),
        Network('retail-0095', os.path.join(args.models, 'face-reidentification-retail-0095.onnx'),
                'omz-reid-0095', 128),
        Network(STUDENT, args.embedder, 'mobilefacenet', 112, has_flip=True),
    ]
    embeddings = {}
    for network in networks:
        network.load(server)
        check_against_torch(network, server, faces)
        embeddings.update(network.embeddings(server, faces, args.cache))
    celeba = np.flatnonzero(faces.source == 'celeba')
    generated = np.flatnonzero(np.isin(faces.source, ('interfacegan', 'ai_portraits')))
    mobile, retail = (embeddings[network.name] for network in networks[:2])
    judges = [Judge([(1, retail)], celeba, generated), Judge([(1, mobile)], celeba, generated),
              Judge([(WEIGHTS[0], mobile), (WEIGHTS[1], retail)], celeba, generated)]
    blocks = []
    for network, judge in zip(networks, judges):
        for variant in network.variants:
            own = embeddings[variant]
            everybody, impostor = compare(own[celeba]), compare(own[celeba], None, judge.is_same())
            genuine = genuine_similarities(faces, own)
            portraits = args.portraits and portrait_distances(server, args.portraits, network.models[variant])
            rows = report(variant, impostor, genuine, faces, own, age, portraits)
            line('similarity, no pairs dropped', [1 - everybody.threshold(rate) for rate in RATES], '8.4f')
            print(f'  dropped {everybody.count - impostor.count} of {everybody.count} pairs, judge over {judge.cut:.4f}')
            if network.name == STUDENT:
                report_held_out(own[celeba], faces.is_held_out[celeba], judge, [t for _, t, _ in rows])
            blocks.append((f'{variant}@{network.fingerprint(server, variant)}', impostor.count, rows))
    write_sql(args.sql, blocks, len(genuine['imfdb8']) + len(genuine['orl40']))


if __name__ == '__main__':
    main()
