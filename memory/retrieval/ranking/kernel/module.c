/* The Python module. Arrays are passed as buffers, whose types and lengths are checked; only
   `context_norms` is written to. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include "ranking.h"
#include "scratch.h"

#include <string.h>

/* The arguments of `rank`, in order. */
enum {
    TERM_ROWS,
    TERM_COUNTS,
    PREVIOUS,
    NEXT,
    FORMS_TABLE,
    CONTEXT_NORMS,
    DELETED,
    PLACES,
    VECTOR,
    CODES,
    NEAREST,
    ASKS_WHEN,
    WIDTH,
    COLUMNS,
    ARGUMENTS
};
enum { MAX_BUFFERS = ARGUMENTS + 2 * MAX_TERMS };

/* The buffers of a call, which are released at its end. */
typedef struct {
    Py_buffer buffers[MAX_BUFFERS];
    int count;
} Buffers;

static void release(Buffers *buffers) {
    while (buffers->count) PyBuffer_Release(&buffers->buffers[--buffers->count]);
}

/* The numbers of an array, and their count in rows of `width` numbers; NULL with an error set if
   the array has another type or length.

   kinds: accepted type codes of Python's struct module.
   size: bytes of a number. */
static void *read_array(Buffers *buffers, PyObject *array, const char *kinds, size_t size,
                        int64_t width, int flags, int64_t *count) {
    Py_buffer *buffer = &buffers->buffers[buffers->count];
    if (PyObject_GetBuffer(array, buffer, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | flags) < 0)
        return NULL;
    buffers->count++;
    const int64_t items = buffer->itemsize ? buffer->len / buffer->itemsize : 0;
    const char *format = buffer->format ? buffer->format : "B";
    if ((size_t)buffer->itemsize != size || !strchr(kinds, format[0]) || items % width) {
        PyErr_Format(PyExc_TypeError,
                     "expected an array of type '%s', %zu bytes each, in rows of %lld; "
                     "got type '%s', length %lld",
                     kinds, size, (long long)width, format, (long long)items);
        return NULL;
    }
    *count = items / width;
    return buffer->buf;
}

static void *read_int64(Buffers *buffers, PyObject *array, int64_t *count) {
    return read_array(buffers, array, "lq", sizeof(int64_t), 1, 0, count);
}

static int read_terms(Buffers *buffers, PyObject *const *arguments, int64_t all_rows,
                      Query *query) {
    PyObject *rows = arguments[TERM_ROWS], *counts = arguments[TERM_COUNTS];
    query->term_count = PyList_Check(rows) && PyList_Check(counts) ? PyList_Size(rows) : -1;
    if (query->term_count < 0 || query->term_count > MAX_TERMS ||
        query->term_count != PyList_Size(counts)) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError, "expected two lists of at most %d arrays", MAX_TERMS);
        return -1;
    }
    for (int64_t at = 0; at < query->term_count; at++) {
        Postings *postings = &query->terms[at];
        int64_t counted = 0;
        postings->rows = read_array(buffers, PyList_GetItem(rows, at), "I", sizeof(uint32_t), 1, 0,
                                    &postings->row_count);
        if (!postings->rows) return -1;
        postings->counts = read_array(buffers, PyList_GetItem(counts, at), "H", sizeof(uint16_t),
                                      1, 0, &counted);
        if (!postings->counts) return -1;
        if (counted != postings->row_count ||
            (counted && postings->rows[counted - 1] >= all_rows)) {
            PyErr_SetString(PyExc_ValueError, "a term's rows and counts do not match");
            return -1;
        }
    }
    return 0;
}

static int read_messages(Buffers *buffers, PyObject *const *arguments, Messages *messages) {
    int64_t next = 0, forms = 0, norms = 0;
    if (!(messages->previous = read_int64(buffers, arguments[PREVIOUS], &messages->rows)) ||
        !(messages->next = read_int64(buffers, arguments[NEXT], &next)) ||
        !(messages->forms = read_array(buffers, arguments[FORMS_TABLE], "f", sizeof(float), FORMS,
                                       0, &forms)) ||
        !(messages->context_norms = read_array(buffers, arguments[CONTEXT_NORMS], "f",
                                               sizeof(float), 1, PyBUF_WRITABLE, &norms)) ||
        !(messages->deleted =
              read_int64(buffers, arguments[DELETED], &messages->deleted_count)) ||
        !(messages->places = read_int64(buffers, arguments[PLACES], &messages->placed)))
        return -1;
    if (next != messages->rows || forms != messages->rows || norms != messages->rows) {
        PyErr_SetString(PyExc_ValueError, "the messages' arrays have different lengths");
        return -1;
    }
    return 0;
}

static int read_vector(Buffers *buffers, PyObject *const *arguments, Messages *messages,
                       Query *query) {
    if (arguments[VECTOR] == Py_None) return 0;
    query->vector =
        read_array(buffers, arguments[VECTOR], "f", sizeof(float), 1, 0, &messages->dim);
    if (!query->vector) return -1;
    messages->codes = read_array(buffers, arguments[CODES], "B", 1,
                                 messages->dim ? messages->dim : 1, 0, &messages->vectors);
    if (!messages->codes) return -1;
    query->nearest = read_int64(buffers, arguments[NEAREST], &query->nearest_count);
    return query->nearest ? 0 : -1;
}

/* The rows and the features of the candidates, as two byte arrays. */
static PyObject *rank_messages(const Messages *messages, const Query *query, int64_t width,
                               const int32_t *columns) {
    int64_t candidates[MAX_CANDIDATES];
    if (reserve_rows(messages->rows) < 0) return PyErr_NoMemory();
    const int64_t count = generate_candidates(messages, query, candidates);
    PyObject *rows = PyByteArray_FromStringAndSize((char *)candidates, count * sizeof *candidates);
    PyObject *features = PyByteArray_FromStringAndSize(NULL, count * width * sizeof(float));
    PyObject *result = NULL;
    if (rows && features) {
        float *table = (float *)PyByteArray_AsString(features);
        memset(table, 0, count * width * sizeof(float));
        const int fails = count && compute_features(messages, query, candidates, count, table,
                                                    width, columns) < 0;
        result = fails ? PyErr_NoMemory() : PyTuple_Pack(2, rows, features);
    }
    Py_XDECREF(rows);
    Py_XDECREF(features);
    return result;
}

static PyObject *rank(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (count != ARGUMENTS) {
        PyErr_Format(PyExc_TypeError, "rank() takes %d arguments, got %zd", ARGUMENTS, count);
        return NULL;
    }
    Buffers buffers = {.count = 0};
    Messages messages = {0};
    Query query = {0};
    int64_t column_count = 0;
    query.asks_when = PyObject_IsTrue(arguments[ASKS_WHEN]);
    const int64_t width = PyLong_AsLongLong(arguments[WIDTH]);
    const int32_t *columns =
        read_array(&buffers, arguments[COLUMNS], "il", sizeof(int32_t), 1, 0, &column_count);
    PyObject *result = NULL;
    int fits = columns && column_count == FEATURES && width > 0 && !PyErr_Occurred();
    for (int at = 0; fits && at < FEATURES; at++) fits = columns[at] >= 0 && columns[at] < width;
    if (!fits && !PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "expected %d columns, each less than the width", FEATURES);
    if (fits && read_messages(&buffers, arguments, &messages) == 0 &&
        read_terms(&buffers, arguments, messages.rows, &query) == 0 &&
        read_vector(&buffers, arguments, &messages, &query) == 0)
        result = rank_messages(&messages, &query, width, columns);
    release(&buffers);
    return result;
}

static PyMethodDef methods[] = {
    {"rank", (PyCFunction)(void (*)(void))rank, METH_FASTCALL,
     "The candidates for a query and their fast features; called by ranker.py."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef kernel = {
    PyModuleDef_HEAD_INIT, "_kernel", "The compiled ranking of recall.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModule_Create(&kernel); }
