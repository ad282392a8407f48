"""A connection to PostgreSQL through libpq and ctypes: just what the index
benchmarks need, prepared statements with binary arguments, binary COPY, and
the CPU time of the backend.  Needs libpq.so.5 and a server on this host.
"""

import ctypes
import os
import struct

COMMAND_OK, TUPLES_OK, COPY_IN = 1, 2, 4


def _load():
    library = ctypes.CDLL("libpq.so.5")
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
            ("PQconnectdb", pointer, (text,)),
            ("PQstatus", number, (pointer,)),
            ("PQfinish", None, (pointer,)),
            ("PQbackendPID", number, (pointer,)),
            ("PQerrorMessage", text, (pointer,)),
            ("PQexec", pointer, (pointer, text)),
            ("PQprepare", pointer, (pointer, text, text, number, pointer)),
            ("PQexecPrepared", pointer,
             (pointer, text, number, pointer, pointer, pointer, number)),
            ("PQresultStatus", number, (pointer,)),
            ("PQresultErrorField", text, (pointer, number)),
            ("PQntuples", number, (pointer,)),
            ("PQnfields", number, (pointer,)),
            ("PQgetvalue", pointer, (pointer, number, number)),
            ("PQgetlength", number, (pointer, number, number)),
            ("PQgetisnull", number, (pointer, number, number)),
            ("PQclear", None, (pointer,)),
            ("PQputCopyData", number, (pointer, text, number)),
            ("PQputCopyEnd", number, (pointer, text)),
            ("PQgetResult", pointer, (pointer,))):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


PQ = _load()


class Error(Exception):
    """A message of the server, with its SQLSTATE."""

    def __init__(self, message, sqlstate=None):
        super().__init__(message)
        self.sqlstate = sqlstate


def cpu_of(pid):
    """CPU seconds that a process has used, to the nanosecond."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) * 1e-9


def parent_of(pid):
    """The parent of a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def cpu_of_ended_children(pid):
    """CPU seconds of the children that a process has waited for."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


class Connection:
    """One session; everything else than `database` is in the environment."""

    def __init__(self, database):
        self.handle = PQ.PQconnectdb(f"dbname={database}".encode())
        if PQ.PQstatus(self.handle) != 0:
            raise Error(PQ.PQerrorMessage(self.handle).decode())
        self.pid = PQ.PQbackendPID(self.handle)
        self.run("SET client_min_messages = warning")

    def close(self):
        """End the session."""
        PQ.PQfinish(self.handle)

    def cpu(self):
        """CPU seconds of this session's backend."""
        return cpu_of(self.pid)

    def workers_cpu(self):
        """CPU seconds of all backends of this server that have ended."""
        return cpu_of_ended_children(parent_of(self.pid))

    def _check(self, result, *wanted):
        if PQ.PQresultStatus(result) in wanted:
            return result
        state = PQ.PQresultErrorField(result, ord("C"))
        PQ.PQclear(result)
        raise Error(PQ.PQerrorMessage(self.handle).decode().strip(),
                    state.decode() if state else None)

    def run(self, sql):
        """Run SQL without arguments; the rows of the last command, as text."""
        result = self._check(PQ.PQexec(self.handle, sql.encode()), COMMAND_OK,
                             TUPLES_OK)
        rows = [tuple(None if PQ.PQgetisnull(result, i, j) else
                      ctypes.string_at(PQ.PQgetvalue(result, i, j)).decode()
                      for j in range(PQ.PQnfields(result)))
                for i in range(PQ.PQntuples(result))]
        PQ.PQclear(result)
        return rows

    def value(self, sql):
        """The one value that a query gives."""
        return self.run(sql)[0][0]

    def prepare(self, name, sql):
        """Prepare a statement."""
        PQ.PQclear(self._check(PQ.PQprepare(self.handle, name.encode(),
                                            sql.encode(), 0, None),
                               COMMAND_OK))

    def execute(self, name, arguments=(), formats=""):
        """Run a prepared statement with binary arguments (bytes).  formats
        says how to read the columns of the rows: struct's letters."""
        count = len(arguments)
        values = (ctypes.c_char_p * count)(*arguments)
        lengths = (ctypes.c_int * count)(*map(len, arguments))
        binary = (ctypes.c_int * count)(*[1] * count)
        result = self._check(
            PQ.PQexecPrepared(self.handle, name.encode(), count,
                              ctypes.cast(values, ctypes.c_void_p),
                              ctypes.cast(lengths, ctypes.c_void_p),
                              ctypes.cast(binary, ctypes.c_void_p), 1),
            COMMAND_OK, TUPLES_OK)
        rows = [tuple(struct.unpack(
            "!" + format,
            ctypes.string_at(PQ.PQgetvalue(result, i, j),
                             PQ.PQgetlength(result, i, j)))[0]
                      for j, format in enumerate(formats))
                for i in range(PQ.PQntuples(result))]
        PQ.PQclear(result)
        return rows

    def copy(self, sql, chunks):
        """COPY ... FROM STDIN (FORMAT binary) of chunks of rows."""
        PQ.PQclear(self._check(PQ.PQexec(self.handle, sql.encode()), COPY_IN))
        self._put(b"PGCOPY\n\xff\r\n\0" + bytes(8))
        for chunk in chunks:
            self._put(chunk)
        self._put(b"\xff\xff")
        if PQ.PQputCopyEnd(self.handle, None) != 1:
            raise Error(PQ.PQerrorMessage(self.handle).decode())
        while True:
            result = PQ.PQgetResult(self.handle)
            if not result:
                break
            PQ.PQclear(self._check(result, COMMAND_OK))

    def _put(self, data):
        if PQ.PQputCopyData(self.handle, data, len(data)) != 1:
            raise Error(PQ.PQerrorMessage(self.handle).decode())
