/* The ranking for Python: arrays come as buffers, are looked at once, and never written to but for
   `lengths`. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include "ranking.h"
#include "scratch.h"

#include <string.h>

enum { MOST_BUFFERS = 16 + 2 * MOST_TERMS };

/* The buffers that a call holds, to be given back at its end. */
typedef struct {
    Py_buffer held[MOST_BUFFERS];
    int count;
} Buffers;

static void give_back(Buffers *buffers) {
    while (buffers->count) PyBuffer_Release(&buffers->held[--buffers->count]);
}

/* The numbers in an array of one of the `kinds`, as Python's struct names them, a multiple of
   `width` of them; NULL with an error set if it is none. */
static void *numbers(Buffers *buffers, PyObject *array, const char *kinds, size_t size,
                     int64_t width, int flags, int64_t *count) {
    Py_buffer *buffer = &buffers->held[buffers->count];
    if (PyObject_GetBuffer(array, buffer, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | flags) < 0)
        return NULL;
    buffers->count++;
    const int64_t items = buffer->itemsize ? buffer->len / buffer->itemsize : 0;
    const char *format = buffer->format ? buffer->format : "B";
    if ((size_t)buffer->itemsize != size || !strchr(kinds, format[0]) || items % width) {
        PyErr_Format(PyExc_TypeError, "wanted numbers of %zu bytes of the kinds '%s', %lld a row; "
                     "got '%s', %lld of them", size, kinds, (long long)width, format,
                     (long long)items);
        return NULL;
    }
    *count = items / width;
    return buffer->buf;
}

static void *longs(Buffers *buffers, PyObject *array, int64_t *count) {
    return numbers(buffers, array, "lq", sizeof(int64_t), 1, 0, count);
}

static int take_terms(Buffers *buffers, PyObject *rows, PyObject *counts, int64_t all,
                      Question *question) {
    question->count = PyList_Check(rows) && PyList_Check(counts) ? PyList_Size(rows) : -1;
    if (question->count < 0 || question->count > MOST_TERMS ||
        question->count != PyList_Size(counts)) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError, "wanted two lists of up to %d arrays", MOST_TERMS);
        return -1;
    }
    for (int64_t at = 0; at < question->count; at++) {
        Term *term = &question->terms[at];
        int64_t counted = 0;
        term->rows = numbers(buffers, PyList_GetItem(rows, at), "I", sizeof(uint32_t), 1, 0,
                             &term->holding);
        if (!term->rows) return -1;
        term->counts = numbers(buffers, PyList_GetItem(counts, at), "H", sizeof(uint16_t), 1, 0,
                               &counted);
        if (!term->counts) return -1;
        if (counted != term->holding || (counted && term->rows[counted - 1] >= all)) {
            PyErr_SetString(PyExc_ValueError, "a term's rows and counts do not fit");
            return -1;
        }
    }
    return 0;
}

static int take_messages(Buffers *buffers, PyObject *const *given, Messages *messages) {
    int64_t others[3] = {0};
    if (!(messages->previous = longs(buffers, given[0], &messages->rows)) ||
        !(messages->next = longs(buffers, given[1], &others[0])) ||
        !(messages->form = numbers(buffers, given[2], "f", sizeof(float), FORMS, 0, &others[1])) ||
        !(messages->lengths =
              numbers(buffers, given[3], "f", sizeof(float), 1, PyBUF_WRITABLE, &others[2])) ||
        !(messages->dead = longs(buffers, given[4], &messages->deads)) ||
        !(messages->place = longs(buffers, given[5], &messages->placed)))
        return -1;
    for (int at = 0; at < 3; at++)
        if (others[at] != messages->rows) {
            PyErr_SetString(PyExc_ValueError, "columns of different lengths");
            return -1;
        }
    return 0;
}

static int take_vector(Buffers *buffers, PyObject *vector, PyObject *codes, PyObject *near,
                       Messages *messages, Question *question) {
    if (vector == Py_None) return 0;
    question->vector = numbers(buffers, vector, "f", sizeof(float), 1, 0, &messages->dim);
    if (!question->vector) return -1;
    messages->codes = numbers(buffers, codes, "B", 1, messages->dim ? messages->dim : 1, 0,
                              &messages->vectors);
    if (!messages->codes) return -1;
    question->near = longs(buffers, near, &question->nears);
    return question->near ? 0 : -1;
}

static PyObject *ranked(const Messages *messages, const Question *question, int64_t width,
                        const int32_t *columns) {
    int64_t found[MOST_ROWS];
    if (make_room(messages->rows) < 0) return PyErr_NoMemory();
    const int64_t count = find_candidates(messages, question, found);
    PyObject *rows = PyByteArray_FromStringAndSize((char *)found, count * sizeof *found);
    PyObject *parts = PyByteArray_FromStringAndSize(NULL, count * width * sizeof(float));
    PyObject *made = NULL;
    if (rows && parts) {
        float *table = (float *)PyByteArray_AsString(parts);
        memset(table, 0, count * width * sizeof(float));
        made = count && measure(messages, question, found, count, table, width, columns) < 0
                   ? PyErr_NoMemory()
                   : PyTuple_Pack(2, rows, parts);
    }
    Py_XDECREF(rows);
    Py_XDECREF(parts);
    return made;
}

static PyObject *rank(PyObject *module, PyObject *const *given, Py_ssize_t count) {
    (void)module;
    enum { GIVEN = 14 };
    if (count != GIVEN) {
        PyErr_Format(PyExc_TypeError, "rank() takes %d arguments, got %zd", GIVEN, count);
        return NULL;
    }
    Buffers buffers = {.count = 0};
    Messages messages = {0};
    Question question = {0};
    int64_t named = 0;
    question.asks_when = PyObject_IsTrue(given[11]);
    const int64_t width = PyLong_AsLongLong(given[12]);
    const int32_t *columns =
        numbers(&buffers, given[13], "il", sizeof(int32_t), 1, 0, &named);
    PyObject *made = NULL;
    int fits = columns && named == PARTS && width > 0 && !PyErr_Occurred();
    for (int at = 0; fits && at < PARTS; at++) fits = columns[at] >= 0 && columns[at] < width;
    if (!fits && !PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "wanted %d columns within the width", PARTS);
    if (fits && take_messages(&buffers, given + 2, &messages) == 0 &&
        take_terms(&buffers, given[0], given[1], messages.rows, &question) == 0 &&
        take_vector(&buffers, given[8], given[9], given[10], &messages, &question) == 0)
        made = ranked(&messages, &question, width, columns);
    give_back(&buffers);
    return made;
}

static PyMethodDef methods[] = {
    {"rank", (PyCFunction)(void (*)(void))rank, METH_FASTCALL,
     "The candidates for a question, and what speaks for each; see memory/retrieval/ranking/ranker.py."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef kernel = {
    PyModuleDef_HEAD_INIT, "_kernel", "The ranking of recall, compiled.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModule_Create(&kernel); }
