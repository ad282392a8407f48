#!/usr/bin/env python3
"""faceindex and pgvector's HNSW side by side, on the same server and data.

    python3 src/test/bench/index_compare.py PREFIX SIDE [STEP...]

PREFIX names a data set as make_embeddings.py writes it (PREFIX.base.f32,
.extra.f32, .query.f32, .qlabel.i32); SIDE is facerec or pgvector; the server,
on this host and with that extension at hand, comes from PG* in the
environment.  Without STEPs all of them run:

    load      database index_compare_<data set>_<side> with the rows
    build     CPU, wall time, WAL and size of CREATE INDEX
    query     CPU and recall of LIMIT 10 and LIMIT 100
    limits    queries of strangers and of enrolled people with < c and %
    filter    LIMIT 10 where a filter keeps 1 % and 0.1 % of the rows
    insert    CPU and WAL of single rows
    vacuum    VACUUM after deleting 5 % of the rows
    grow      the queries again after inserting 20 % more rows
    shrink    and again after deleting 30 % of those and VACUUM

The last four (and parts of filter) work on a scratch copy of the database, so
that an index that took an hour to build is built once.  Figures are kept in
PREFIX.figures.json; each run prints those of both sides, and their ratio.

CPU is what /proc/<backend>/schedstat says, so other load on the machine moves
it a little through the caches only.  pgvector's vectors are stored in line.
Recall is counted twice: against the nearest rows by the float vectors, and,
for facerec, against the operator's own order of the stored halves, where rows
at the distance of the k-th count as right.  Autovacuum should be off.

QUERIES in the environment limits the number of queries (all).  Needs
python3-numpy.
"""

import json
import os
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np

from libpq import Connection, Error

DEPTH = 100         # deepest rank of the ground truth
CANDIDATES = 400    # rows whose exact distance decides about it
MODEL = 0x0000abcd  # fingerprint of the embeddings
HIT = 0.5           # distance below which faces match
PATIENCE_S = 300    # what takes longer is not waited for


class Facerec:
    """What the benchmark must know of facerec."""

    name, extension = "facerec", "facerec"
    effort = "faceindex.recall"
    settings = ["SET enable_seqscan = off"]
    # the settings to try per LIMIT
    efforts = {10: ["RESET faceindex.recall", "SET faceindex.recall = 0.99",
                    "SET faceindex.recall = 0.95"],
               100: ["RESET faceindex.recall", "SET faceindex.recall = 0.99"]}
    index = "USING faceindex (embedding)"
    storage = None

    @staticmethod
    def type(dims):
        return f"faceembedding({dims})"

    @staticmethod
    def payload(vectors):
        """Binary form of vectors, one void of bytes each."""
        rows = np.zeros(len(vectors), [("version", "u1"), ("flags", "u1"),
                                       ("dims", ">u2"), ("model", ">u4"),
                                       ("x", ">u2", vectors.shape[1])])
        rows["version"], rows["dims"] = 1, vectors.shape[1]
        rows["model"] = MODEL
        halves = vectors.astype(np.float16)
        halves[halves == 0] = 0  # no negative zeros
        rows["x"] = halves.view(np.uint16)
        return rows


class Pgvector:
    """What the benchmark must know of pgvector."""

    name, extension = "pgvector", "vector"
    effort = "hnsw.ef_search"
    settings = ["SET enable_seqscan = off"]
    efforts = {10: [f"SET hnsw.ef_search = {n}"
                    for n in (40, 100, 200, 400, 700, 1000)],
               100: [f"SET hnsw.ef_search = {n}"
                     for n in (100, 200, 400, 1000)]}
    index = ("USING hnsw (embedding vector_cosine_ops) "
             "WITH (m = 16, ef_construction = 64)")
    storage = "ALTER TABLE face ALTER embedding SET STORAGE PLAIN"

    @staticmethod
    def type(dims):
        return f"vector({dims})"

    @staticmethod
    def payload(vectors):
        """Binary form of vectors, one void of bytes each."""
        rows = np.zeros(len(vectors), [("dims", ">u2"), ("unused", ">u2"),
                                       ("x", ">f4", vectors.shape[1])])
        rows["dims"], rows["x"] = vectors.shape[1], vectors
        return rows


class DataSet:
    """Files of one data set, and what is the nearest in them."""

    def __init__(self, prefix):
        self.prefix, self.name = prefix, os.path.basename(prefix)
        labels = np.fromfile(prefix + ".qlabel.i32", np.int32)
        limit = int(os.environ.get("QUERIES") or len(labels))
        flat = np.fromfile(prefix + ".query.f32", np.float32)
        self.queries = flat.reshape(len(labels), -1)[:limit]
        self.dims = self.queries.shape[1]
        self.enrolled = labels[:limit] >= 0
        self.base, self.extra = (
            np.memmap(f"{prefix}.{part}.f32", np.float32, "r")
            .reshape(-1, self.dims) for part in ("base", "extra"))

    def rows(self, state):
        """Ids of the rows there are in a state, and their vectors."""
        if state == "built":
            return np.arange(len(self.base)), self.base
        vectors = np.concatenate([self.base, self.extra])
        ids = np.arange(len(vectors))
        return (ids, vectors) if state == "grown" else (
            ids[~deleted(ids, 30)], vectors[~deleted(ids, 30)])

    def nearest(self, state):
        """[queries, CANDIDATES] ids by falling float cosine, and cosines."""
        file = f"{self.prefix}.nearest.{state}.npz"
        if os.path.exists(file):
            with np.load(file) as kept:
                if len(kept["ids"]) >= len(self.queries):
                    return (kept["ids"][:len(self.queries)],
                            kept["cosines"][:len(self.queries)])
        ids, vectors = self.rows(state)
        found, cosines = [], []
        for start in range(0, len(self.queries), 100):
            queries = self.queries[start:start + 100]
            scores = np.concatenate([queries @ vectors[i:i + 65536].T
                                     for i in range(0, len(ids), 65536)], 1)
            best = np.argpartition(-scores, CANDIDATES, 1)[:, :CANDIDATES]
            score = np.take_along_axis(scores, best, 1)
            order = np.argsort(-score, 1, kind="stable")
            found.append(ids[np.take_along_axis(best, order, 1)])
            cosines.append(np.take_along_axis(score, order, 1))
        found, cosines = np.concatenate(found), np.concatenate(cosines)
        np.savez(file, ids=found, cosines=cosines)
        return found, cosines


def deleted(ids, percent):
    """Which rows are deleted; the same as DELETED in SQL."""
    return ids * 7919 % 100 < percent


DELETED = "id::bigint * 7919 % 100 < "


def int4(number):
    return int(number).to_bytes(4, "big")


def int4_array(numbers):
    """The binary form of an integer[]."""
    items = np.zeros(len(numbers), [("length", ">i4"), ("value", ">i4")])
    items["length"], items["value"] = 4, numbers
    return b"".join(map(int4, (1, 0, 23, len(numbers), 1))) + items.tobytes()


def copy_rows(side, ids, vectors):
    """Chunks of binary COPY: id, camera (100 values), desk (1,000)."""
    for start in range(0, len(ids), 4096):
        some = ids[start:start + 4096]
        payload = side.payload(np.asarray(vectors[start:start + 4096]))
        rows = np.zeros(len(some), [
            ("columns", ">i2"), ("l1", ">i4"), ("id", ">i4"), ("l2", ">i4"),
            ("camera", ">i4"), ("l3", ">i4"), ("desk", ">i4"), ("l4", ">i4"),
            ("embedding", payload.dtype)])
        rows["columns"], rows["id"] = 4, some
        rows["camera"], rows["desk"] = some % 100, some % 1000
        for name in ("l1", "l2", "l3"):
            rows[name] = 4
        rows["l4"], rows["embedding"] = payload.dtype.itemsize, payload
        yield rows.tobytes()


class Meter:
    """CPU and wall seconds, and bytes of WAL, of a stretch of work."""

    def __init__(self, session):
        self.session = session

    def __enter__(self):
        self.lsn = self.session.value("SELECT pg_current_wal_insert_lsn()")
        self.workers = self.session.workers_cpu()
        self.cpu, self.wall = self.session.cpu(), time.monotonic()
        return self

    def __exit__(self, *_):
        self.cpu = self.session.cpu() - self.cpu
        self.wall = time.monotonic() - self.wall
        time.sleep(0.2)  # until the workers' parent has heard of their end
        self.workers = self.session.workers_cpu() - self.workers
        self.end = self.session.value("SELECT pg_current_wal_insert_lsn()")
        self.wal = float(self.session.value(
            f"SELECT pg_wal_lsn_diff('{self.end}', '{self.lsn}')"))


class Benchmark:
    """The steps, on one data set and one side."""

    def __init__(self, data, side):
        self.data, self.side = data, side
        self.database = f"index_compare_{data.name}_{side.name}".lower()
        self.scratch = self.database + "_scratch"
        self.file = data.prefix + ".figures.json"
        self.queries = [row.tobytes() for row in side.payload(data.queries)]
        self.truths = {}

    # ---- figures ----------------------------------------------------------

    def figures(self):
        """All figures so far: name -> {side: value}."""
        if not os.path.exists(self.file):
            return {}
        with open(self.file, encoding="utf-8") as file:
            return json.load(file)

    def note(self, name, value):
        """Keep and print one figure."""
        figures = self.figures()
        figures.setdefault(name, {})[self.side.name] = value
        with open(self.file, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
        print(f"{self.data.name}  {self.side.name}  {name}: {show(value)}",
              flush=True)

    # ---- databases --------------------------------------------------------

    @staticmethod
    def administer(*commands):
        session = Connection("postgres")
        for command in commands:
            session.run(command)
        session.close()

    def copy_database(self):
        """A session in a fresh scratch copy."""
        self.administer(f"DROP DATABASE IF EXISTS {self.scratch} WITH (FORCE)",
                        f"CREATE DATABASE {self.scratch} TEMPLATE "
                        f"{self.database} STRATEGY file_copy")
        session = self.connect(self.scratch)
        session.run(f"SET statement_timeout = '{PATIENCE_S}s'")
        return session

    def drop_copy(self, session):
        session.close()
        self.administer(f"DROP DATABASE {self.scratch}")

    def connect(self, database=None):
        """A session with the side's settings, its library loaded."""
        session = Connection(database or self.database)
        session.run(f"LOAD '{self.side.extension}'")
        for setting in self.side.settings:
            session.run(setting)
        return session

    def load(self):
        """Create the database and the rows."""
        self.administer(f"DROP DATABASE IF EXISTS {self.database}",
                        f"CREATE DATABASE {self.database}")
        session = Connection(self.database)
        session.run(f"CREATE EXTENSION {self.side.extension}")
        session.run("CREATE TABLE face (id integer, camera integer, "
                    f"desk integer, embedding {self.side.type(self.data.dims)})")
        if self.side.storage:
            session.run(self.side.storage)
        if self.side.name == "facerec":
            session.run("INSERT INTO facerec_thresholds (model, fmr, threshold)"
                        f" VALUES ('bench@{MODEL:08x}', 1e-6, {HIT}), "
                        f"('bench@{MODEL:08x}', 1e-2, {HIT + 0.1})")
        session.copy("COPY face FROM STDIN (FORMAT binary)",
                     copy_rows(self.side, *self.data.rows("built")))
        session.run("ALTER TABLE face ADD PRIMARY KEY (id)")
        session.run("VACUUM ANALYZE face")
        self.note("table bytes per row", self.per_row(session, "face"))
        session.close()

    @staticmethod
    def per_row(session, relation):
        return float(session.value(
            f"SELECT pg_relation_size('{relation}')::float8 / "
            "(SELECT count(*) FROM face)"))

    # ---- build ------------------------------------------------------------

    def build(self):
        """Build with workers, where that is quick, and without."""
        session = self.connect()
        session.run("DROP INDEX IF EXISTS face_embedding")
        create = f"CREATE INDEX face_embedding ON face {self.side.index}"
        for workers in (2, 0) if self.side.name == "facerec" else (0,):
            session.run("DROP INDEX IF EXISTS face_embedding")
            session.run(f"SET max_parallel_maintenance_workers = {workers}")
            session.run("SET min_parallel_table_scan_size = 0")
            with Meter(session) as meter:
                session.run(create)
            name = "build, 2 workers" if workers else "build"
            self.note(f"{name}: CPU s", meter.cpu +
                      (meter.workers if workers else 0))
            self.note(f"{name}: wall s", meter.wall)
        self.note("build: WAL bytes per row", meter.wal / len(self.data.base))
        self.note("index bytes per row",
                  self.per_row(session, "face_embedding"))
        session.run("CHECKPOINT")
        session.close()

    # ---- queries ----------------------------------------------------------

    def search(self, session, k, effort="", where=""):
        """CPU seconds per query, and the ids that each gave."""
        if effort:
            session.run(effort)
        session.run("DEALLOCATE ALL")
        session.prepare("search", "SELECT id FROM face " + where +
                        " ORDER BY embedding <=> $1::" +
                        self.side.type(self.data.dims).partition("(")[0] +
                        f" LIMIT {k}")
        for query in self.queries[:50]:
            session.execute("search", [query])
        cpu, found = np.zeros(len(self.queries)), []
        for i, query in enumerate(self.queries):
            start = session.cpu()
            found.append([row[0] for row in
                          session.execute("search", [query], "i")])
            cpu[i] = session.cpu() - start
        return cpu, found

    def distances(self, session, query, ids):
        """id -> the operator's distance."""
        return dict(session.execute("distances", [query, int4_array(ids)],
                                    "id"))

    def truth(self, session, state):
        """Per query: distances of candidates, and of rank 1 to DEPTH."""
        if state in self.truths:
            return self.truths[state]
        session.prepare("distances", "SELECT id, embedding <=> $1 FROM face "
                        "WHERE id = ANY ($2)")
        session.prepare("all distances", "SELECT id, embedding <=> $1 "
                        "FROM face")
        ids, cosines = self.data.nearest(state)
        # A vector and its halves are less than 0.0005 apart, so no row
        # beyond the candidates can be among the first DEPTH by the halves.
        safe = cosines[:, DEPTH - 1] - cosines[:, -1] > 0.003
        result = []
        for i, query in enumerate(self.queries):
            known = (self.distances(session, query, ids[i]) if safe[i] else
                     dict(session.execute("all distances", [query], "id")))
            result.append((known, sorted(known.values())[:DEPTH]))
        # the shortcut gives what a whole scan gives
        for i in range(0, len(self.queries), max(1, len(self.queries) // 5)):
            everything = session.execute("all distances", [self.queries[i]],
                                         "id")
            assert result[i][1] == sorted(d for _, d in everything)[:DEPTH]
        self.truths[state] = result
        return result

    def judge(self, session, state, k, found):
        """Recall by the operator; the number of wrongly ordered results."""
        right = unordered = 0
        for query, ids, (known, exact) in zip(self.queries, found,
                                              self.truth(session, state)):
            missing = [id for id in ids if id not in known]
            if missing:
                known.update(self.distances(session, query, missing))
            distances = [known[id] for id in ids]
            assert len(set(ids)) == len(ids), "a row came twice"
            right += sum(d <= exact[k - 1] for d in distances)
            unordered += distances != sorted(distances)
        return right / (k * len(found)), unordered

    def query(self, session=None, state="built"):
        """CPU and recall of all efforts."""
        own = session is None
        session = session or self.connect()
        nearest, _ = self.data.nearest(state)
        for k, efforts in self.side.efforts.items():
            for effort in efforts:
                cpu, found = self.search(session, k, effort)
                self.report(session, state, k, effort, cpu, found, nearest)
        session.run(f"RESET {self.side.effort}")
        if own:
            self.check_plan(session)
            session.close()

    def report(self, session, state, k, effort, cpu, found, nearest):
        """The figures of one effort."""
        name = f"{state}, LIMIT {k}"
        if effort.startswith("SET"):
            name += ", " + effort.partition(".")[2].replace(" =", "")
        recall = np.mean([len(set(ids) & set(near[:k])) / k
                          for ids, near in zip(found, nearest)])
        self.note(f"{name}: CPU us", cpu.mean() * 1e6)
        self.note(f"{name}: recall of float vectors", float(recall))
        self.note(f"{name}: rows", float(np.mean([len(i) for i in found])))
        if self.side.name == "facerec":
            recall, unordered = self.judge(session, state, k, found)
            self.note(f"{name}: recall", recall)
            self.note(f"{name}: queries out of order", unordered)

    def check_plan(self, session):
        """Whether the planner takes the index by itself."""
        session.run("RESET enable_seqscan")
        for k in (10, 100):
            plan = session.run("EXPLAIN SELECT id FROM face ORDER BY embedding "
                               "<=> (SELECT embedding FROM face WHERE id = 0) "
                               f"LIMIT {k}")
            self.note(f"LIMIT {k}: plan uses the index",
                      int("face_embedding" in str(plan)))

    # ---- bounded and filtered queries -------------------------------------

    def limits(self):
        """Queries that end at a distance, for strangers and for enrolled."""
        session = self.connect()
        cases = {"no bound": "", f"< {HIT}": f"WHERE embedding <=> $1 < {HIT}"}
        if self.side.name == "facerec":
            session.run("SET facerec.fmr = 1e-6")
            cases["%"] = "WHERE embedding % $1"
        for case, where in cases.items():
            if where and self.side.name != "facerec":
                continue  # HNSW has no such condition
            cpu, found = self.search(session, 10, where=where)
            for group, some in (("enrolled", self.data.enrolled),
                                ("strangers", ~self.data.enrolled)):
                if some.any():
                    self.note(f"{case}, {group}: CPU us", cpu[some].mean() * 1e6)
            if where:
                wrong = sum(
                    len(ids) != min(10, sum(d < HIT for d in exact))
                    for ids, (_, exact) in zip(found,
                                               self.truth(session, "built")))
                self.note(f"{case}: queries with a wrong number of rows",
                          wrong)
        session.close()

    def filter(self):
        """LIMIT 10 behind filters, as planned and by each plan."""
        if self.side.name != "facerec":
            return
        session = self.copy_database()
        self.queries, kept = self.queries[:200], self.queries
        self.filter_plans(session, "plain")
        session.run("CREATE INDEX camera ON face (camera)")
        session.run("CREATE INDEX desk ON face (desk)")
        self.filter_plans(session, "btree")
        session.run("DROP INDEX camera, desk, face_embedding")
        session.run("CREATE INDEX face_embedding ON face USING faceindex "
                    "(embedding, camera, desk)")
        self.note("index bytes per row, two filter columns",
                  self.per_row(session, "face_embedding"))
        self.filter_plans(session, "filter columns")
        self.queries = kept
        self.drop_copy(session)

    def filter_plans(self, session, indexes):
        """CPU of the planner's choice, and of the two that it has."""
        plans = {"by distance": ("enable_seqscan", "enable_bitmapscan",
                                 "enable_sort"),
                 "filter and sort": ("enable_indexscan",),
                 "as planned": ()}
        for share, where in (("1 %", "camera = 7"), ("0.1 %", "desk = 7")):
            expected, times = None, {}
            for plan, off in plans.items():
                session.run("RESET ALL")
                session.run("SET plan_cache_mode = force_custom_plan")
                for setting in off:
                    session.run(f"SET {setting} = off")
                cpu, found = self.search(session, 10, where="WHERE " + where)
                times[plan] = cpu.mean() * 1e6
                name = f"filter {share}, {indexes}, {plan}"
                self.note(f"{name}: CPU us", times[plan])
                self.note(f"{name}: fewest rows", min(map(len, found)))
                expected = expected or {}
                expected[plan] = found
            exact = expected["filter and sort"]
            for plan, found in expected.items():
                self.note(f"filter {share}, {indexes}, {plan}: recall",
                          float(np.mean([len(set(a) & set(b)) / 10
                                         for a, b in zip(found, exact)])))
            self.note(f"filter {share}, {indexes}: as planned / better plan",
                      times["as planned"] / min(times.values()))

    # ---- changes ----------------------------------------------------------

    def insert(self):
        """CPU and WAL of 1,000 rows, and the table's own part of the CPU."""
        session = self.copy_database()
        session.run("CREATE EXTENSION IF NOT EXISTS pg_walinspect")
        session.run("CHECKPOINT")
        meters = []
        for start, prepare in ((0, "SELECT"), (1000, "SELECT"),
                               (2000, "DROP INDEX face_embedding")):
            session.run("BEGIN")
            session.run(prepare)
            with Meter(session) as meter:
                self.insert_rows(session, start, 1000)
            session.run("COMMIT" if start < 2000 else "ROLLBACK")
            meters.append(meter)
        first, second, bare = meters
        self.note("insert: CPU us per row", second.cpu * 1e3)
        self.note("insert: CPU us per row, of the index",
                  (second.cpu - bare.cpu) * 1e3)
        for name, meter in (("after a checkpoint", first), ("later", second)):
            self.note(f"insert {name}: WAL bytes per row", meter.wal / 1000)
            generic = session.run(
                "SELECT sum(record_length - fpi_length), sum(fpi_length) FROM "
                f"pg_get_wal_records_info('{meter.lsn}', '{meter.end}') "
                "WHERE resource_manager = 'Generic'")[0]
            for part, size in zip(("records", "page images"), generic):
                self.note(f"insert {name}: index WAL bytes per row, {part}",
                          float(size or 0) / 1000)
        self.drop_copy(session)

    def insert_rows(self, session, start, count):
        """Insert rows of .extra one by one."""
        session.run("DEALLOCATE ALL")
        session.prepare("insert", "INSERT INTO face VALUES ($1, $2, $3, $4)")
        payload = self.side.payload(
            np.asarray(self.data.extra[start:start + count]))
        first = len(self.data.base) + start
        for id, row in enumerate(payload, first):
            session.execute("insert", [int4(id), int4(id % 100),
                                       int4(id % 1000), row.tobytes()])

    def delete(self, session, name, percent):
        """DELETE and VACUUM; whether it ended in time."""
        session.run(f"DELETE FROM face WHERE {DELETED}{percent}")
        try:
            with Meter(session) as meter:
                session.run("VACUUM (INDEX_CLEANUP on, PARALLEL 0) face")
        except Error as error:
            print(error)
            self.note(f"{name}: CPU s, not finished", float(PATIENCE_S))
            return False
        self.note(f"{name}: CPU s", meter.cpu)
        self.note(f"{name}: wall s", meter.wall)
        self.note(f"{name}: WAL bytes per deleted row",
                  meter.wal * 100 / percent / len(self.data.base))
        return True

    def vacuum(self):
        """VACUUM after deleting 5 %, and what the table alone takes."""
        session = self.copy_database()
        self.delete(session, "VACUUM, 5 % deleted", 5)
        self.drop_copy(session)
        session = self.copy_database()
        session.run("DROP INDEX face_embedding")
        self.delete(session, "VACUUM, 5 % deleted, without the index", 5)
        self.drop_copy(session)

    def grow(self):
        """Queries after 20 % inserts; leaves the copy for shrink."""
        session = self.copy_database()
        session.run("SET statement_timeout = 0")
        first = len(self.data.base)
        ids = np.arange(first, first + len(self.data.extra))
        with Meter(session) as meter:
            session.copy("COPY face FROM STDIN (FORMAT binary)",
                         copy_rows(self.side, ids, self.data.extra))
        self.note("COPY of 20 %: CPU us per row",
                  meter.cpu * 1e6 / len(self.data.extra))
        self.note("COPY of 20 %: WAL bytes per row",
                  meter.wal / len(self.data.extra))
        session.run("ANALYZE face")
        self.query(session, "grown")
        self.note("grown: index bytes per row",
                  self.per_row(session, "face_embedding"))
        return session

    def shrink(self):
        """Queries after 20 % inserts, 30 % deletes and VACUUM."""
        session = self.grow()
        session.run(f"SET statement_timeout = '{PATIENCE_S}s'")
        if self.delete(session, "VACUUM, 30 % deleted", 30):
            session.run("SET statement_timeout = 0")
            session.run("ANALYZE face")
            self.query(session, "shrunk")
            self.note("shrunk: index bytes per row",
                      self.per_row(session, "face_embedding"))
            if self.side.name == "facerec":
                self.note("shrunk: problems found", int(session.value(
                    "SELECT count(*) FROM "
                    "facerec_index_check('face_embedding', true)")))
        self.drop_copy(session)


def show(value):
    """A figure with four digits or so."""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"


def print_all(figures, name):
    """One line per figure: facerec, pgvector, pgvector / facerec."""
    print(f"\n{name:58}{'facerec':>14}{'pgvector':>14}{'ratio':>9}")
    for figure, values in figures.items():
        ours, theirs = values.get("facerec"), values.get("pgvector")
        ratio = f"{theirs / ours:9.2f}" if ours and theirs is not None else ""
        print(f"{figure:58}"
              f"{'' if ours is None else show(ours):>14}"
              f"{'' if theirs is None else show(theirs):>14}{ratio}")


def main():
    steps = ["load", "build", "query", "limits", "filter", "insert", "vacuum",
             "shrink"]
    if len(sys.argv) < 3 or sys.argv[2] not in ("facerec", "pgvector"):
        sys.exit(__doc__)
    data = DataSet(sys.argv[1])
    side = Facerec if sys.argv[2] == "facerec" else Pgvector
    benchmark = Benchmark(data, side)
    for step in sys.argv[3:] or steps:
        getattr(benchmark, step)()
    print_all(benchmark.figures(), data.name)


if __name__ == "__main__":
    main()
