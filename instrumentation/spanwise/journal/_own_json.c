/* Spans of our own as JSON, in C: `own_json.filled`. What goes into the gaps of a template is taken from memories that
   stand in Python, which is called for whatever they lack.

   A fault here would end the host, so there is as little as can be: everything is asked as Python asks it, and nothing
   is held on to but for the time of one call. The tests count references and memory. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

/* As in `own_json.py` */
#define INTERFACE 1
#define SMALL 1000000000000LL

enum { TRACES, NAMES, TEMPLATES, TEXTS, OTHER, STATUS, MEMORIES };
enum { TRACE_ID, SPAN_ID, PARENT_ID, NAME, KIND, START_NS, END_NS, ATTRIBUTES, STATUS_SET, FIELDS };
enum { ALWAYS = 7 }; /* gaps of a template: the fields but for the parent and the attributes */

typedef struct {
    PyObject *memory, *fields, *values, *template;
    int has_parent;
    Py_ssize_t next; /* piece of the template */
    char *text;
    size_t length, room;
    char first[4096];
} Filling;

static int add(Filling *self, const char *bytes, size_t length) {
    if (self->room - self->length < length) {
        size_t room = 2 * (self->length + length);
        char *longer = PyMem_Realloc(self->text == self->first ? NULL : self->text, room);
        if (longer == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        if (self->text == self->first) memcpy(longer, self->first, self->length);
        self->text = longer;
        self->room = room;
    }
    memcpy(self->text + self->length, bytes, length);
    self->length += length;
    return 0;
}

static int add_text(Filling *self, PyObject *text) {
    Py_ssize_t length;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &length);
    if (bytes != NULL) return add(self, bytes, (size_t)length);
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) return -1;
    PyErr_Clear();
    PyObject *replaced = PyUnicode_AsEncodedString(text, "utf-8", "replace");
    if (replaced == NULL) return -1;
    int done = add(self, PyBytes_AS_STRING(replaced), (size_t)PyBytes_GET_SIZE(replaced));
    Py_DECREF(replaced);
    return done;
}

/* Add a text that was made for this, and release it. */
static int add_made(Filling *self, PyObject *text) {
    if (text == NULL) return -1;
    int done = add_text(self, text);
    Py_DECREF(text);
    return done;
}

static int add_number(Filling *self, long long number) {
    char digits[20], *at = digits + sizeof(digits);
    unsigned long long rest = number < 0 ? 0 - (unsigned long long)number : (unsigned long long)number;
    do *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (number < 0) *--at = '-';
    return add(self, at, (size_t)(digits + sizeof(digits) - at));
}

static int add_integer(Filling *self, PyObject *integer) {
    long long number = PyLong_AsLongLong(integer);
    return number == -1 && PyErr_Occurred() ? -1 : add_number(self, number);
}

static int add_id(Filling *self, PyObject *id) {
    unsigned long long number = PyLong_AsUnsignedLongLong(id);
    if (number == (unsigned long long)-1 && PyErr_Occurred()) return -1;
    char digits[16];
    for (int at = 15; at >= 0; at--, number >>= 4) digits[at] = "0123456789abcdef"[number & 15];
    return add(self, digits, sizeof(digits));
}

static PyObject *memory_of(Filling *self, int which) { return PyTuple_GET_ITEM(self->memory, which); }

static PyObject *field(Filling *self, int which) { return PyTuple_GET_ITEM(self->fields, which); }

static int add_remembered(Filling *self, int which, PyObject *key) {
    return add_made(self, PyObject_GetItem(memory_of(self, which), key));
}

static int add_value(Filling *self, PyObject *value) {
    if (PyUnicode_CheckExact(value)) return add_remembered(self, TEXTS, value);
    if (PyLong_CheckExact(value)) {
        int overflow;
        long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (!overflow && number < SMALL) {
            static const char begin[] = "\"intValue\":\"";
            if (add(self, begin, sizeof(begin) - 1) < 0 || add_number(self, number) < 0) return -1;
            return add(self, "\"", 1);
        }
    }
    return add_made(self, PyObject_CallOneArg(memory_of(self, OTHER), value));
}

static int add_status(Filling *self, PyObject *status) {
    if (status == Py_None) return add(self, "{}", 2);
    return add_made(self, PyObject_CallOneArg(memory_of(self, STATUS), status));
}

/* Add what stands before the next gap, or behind the last one. */
static int go_on(Filling *self) {
    PyObject *piece = PyTuple_GET_ITEM(self->template, self->next);
    self->next += 2;
    return add_text(self, piece);
}

static int fill(Filling *self) {
    if (go_on(self) < 0 || add_remembered(self, TRACES, field(self, TRACE_ID)) < 0) return -1;
    if (go_on(self) < 0 || add_id(self, field(self, SPAN_ID)) < 0) return -1;
    if (go_on(self) < 0 || add_remembered(self, NAMES, field(self, NAME)) < 0) return -1;
    if (go_on(self) < 0 || add_integer(self, field(self, KIND)) < 0) return -1;
    if (go_on(self) < 0 || add_integer(self, field(self, START_NS)) < 0) return -1;
    if (go_on(self) < 0 || add_integer(self, field(self, END_NS)) < 0) return -1;
    if (self->has_parent && (go_on(self) < 0 || add_id(self, field(self, PARENT_ID)) < 0)) return -1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(self->values); i++)
        if (go_on(self) < 0 || add_value(self, PyList_GET_ITEM(self->values, i)) < 0) return -1;
    if (go_on(self) < 0 || add_status(self, field(self, STATUS_SET)) < 0) return -1;
    return go_on(self);
}

/* Look up the template, which has to have as many gaps as there is to fill in. */
static int find_template(Filling *self) {
    PyObject *names = PySequence_Tuple(field(self, ATTRIBUTES));
    if (names == NULL) return -1;
    PyObject *both = PyObject_GetItem(memory_of(self, TEMPLATES), names);
    Py_DECREF(names);
    if (both == NULL) return -1;
    self->template = PySequence_GetItem(both, self->has_parent);
    Py_DECREF(both);
    if (self->template == NULL) return -1;
    Py_ssize_t gaps = ALWAYS + self->has_parent + PyList_GET_SIZE(self->values);
    if (PyTuple_CheckExact(self->template) && PyTuple_GET_SIZE(self->template) == 2 * gaps + 1) return 0;
    PyErr_SetString(PyExc_ValueError, "the template has other gaps than the span has fields");
    return -1;
}

PyDoc_STRVAR(filled_doc, "Return the JSON of a span whose `fields` these are, with what `memory` says of it.");

static PyObject *filled(PyObject *Py_UNUSED(module), PyObject *const *given, Py_ssize_t number) {
    if (number != 2 || !PyTuple_CheckExact(given[0]) || PyTuple_GET_SIZE(given[0]) != MEMORIES
        || !PyTuple_CheckExact(given[1]) || PyTuple_GET_SIZE(given[1]) != FIELDS
        || !PyDict_CheckExact(PyTuple_GET_ITEM(given[1], ATTRIBUTES))) {
        PyErr_SetString(PyExc_TypeError, "what is remembered and the fields of a span are wanted");
        return NULL;
    }
    Filling self; /* set field by field, as its text need not be cleared */
    self.memory = given[0];
    self.fields = given[1];
    self.template = NULL;
    self.next = 0;
    self.text = self.first;
    self.length = 0;
    self.room = sizeof(self.first);
    if ((self.has_parent = PyObject_IsTrue(field(&self, PARENT_ID))) < 0) return NULL;
    if ((self.values = PyDict_Values(field(&self, ATTRIBUTES))) == NULL) return NULL;
    PyObject *made = NULL;
    if (find_template(&self) == 0 && fill(&self) == 0)
        made = PyBytes_FromStringAndSize(self.text, (Py_ssize_t)self.length);
    if (self.text != self.first) PyMem_Free(self.text);
    Py_XDECREF(self.template);
    Py_DECREF(self.values);
    return made;
}

static PyMethodDef module_methods[] = {
    {"filled", (PyCFunction)(void (*)(void))filled, METH_FASTCALL, filled_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_own_json", "Spans of our own as JSON, in C.", 0, module_methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__own_json(void) {
    PyObject *module = PyModule_Create(&module_definition);
    if (module != NULL && PyModule_AddIntConstant(module, "INTERFACE", INTERFACE) < 0) Py_CLEAR(module);
    return module;
}
