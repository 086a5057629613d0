/* What runs at each step of a task and whenever a future is resolved, in C: `steps.py`, and of
   `releases.release_from` what occurs most. Everything else stays in Python, which is called for it.

   A fault here would end the host, so there is as little as can be. Objects that C reads the fields of are checked
   when they are set; the rest are asked as Python asks them. The tests count references and memory. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <stddef.h>

/* As in `steps.py` */
#define INTERFACE 1
#define LONG_NS 1000000
#define REFRESH_NS 1000000

typedef struct {
    PyObject_HEAD
    long long cpu, limit, short_count, short_ns;
} Sums;

typedef struct {
    PyObject_HEAD
    long long cpu, due;
    unsigned long thread;
} Reading;

typedef struct {
    PyObject_HEAD
    PyObject *coroutine, *awaited, *context, *gathered, *reading;
    long long suspended, part, explicit_waits;
} Step;

static PyTypeObject *sums_type, *reading_type, *step_type;
static PyObject *clock_ns, *cpu_clock_ns, *step_context; /* from `read_with` */
static PyObject *count_long_name, *finish_name, *look_up_name, *resume_name;

/* The context variable of OpenTelemetry, or the function that stands for it. */
static PyObject *current_context(void) {
    if (PyContextVar_CheckExact(step_context)) {
        PyObject *context;
        if (PyContextVar_Get(step_context, NULL, &context) < 0) return NULL;
        if (context != NULL) return context;
        PyErr_SetString(PyExc_LookupError, "OpenTelemetry's context variable has no value");
        return NULL;
    }
    return PyObject_CallNoArgs(step_context);
}

static int read_clock(PyObject *clock, long long *now) {
    PyObject *value = PyObject_CallNoArgs(clock);
    if (value == NULL) return -1;
    *now = PyLong_AsLongLong(value);
    Py_DECREF(value);
    return *now == -1 && PyErr_Occurred() ? -1 : 0;
}

/* Call a method of the step with an object, which is released. */
static int tell(Step *self, PyObject *name, PyObject *what) {
    if (what == NULL) return -1;
    PyObject *done = PyObject_CallMethodOneArg((PyObject *)self, name, what);
    Py_DECREF(what);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int resume(Step *self, long long now) {
    Sums *gathered = (Sums *)self->gathered;
    Reading *reading = (Reading *)self->reading;
    long long waited = now - self->suspended;
    int is_here = now < reading->due || reading->thread == PyThread_get_thread_ident();
    if (waited >= gathered->limit || !is_here || self->explicit_waits)
        return tell(self, resume_name, PyLong_FromLongLong(now));
    gathered->short_count++;
    gathered->short_ns += waited;
    if (now < reading->due) return 0;
    reading->due = now + REFRESH_NS;
    return read_clock(cpu_clock_ns, &reading->cpu);
}

static int suspend(Step *self, PyObject *awaited) {
    PyObject *before = self->awaited;
    self->awaited = Py_NewRef(awaited);
    Py_XDECREF(before);
    if (read_clock(clock_ns, &self->suspended) < 0) return -1;
    long long now = self->suspended;
    PyObject *context = current_context();
    if (context == NULL) return -1;
    if (context == self->context)
        Py_DECREF(context);
    else if (tell(self, look_up_name, context) < 0)
        return -1;
    if (now - self->part >= LONG_NS) return tell(self, count_long_name, PyLong_FromLongLong(now));
    ((Sums *)self->gathered)->cpu += now - self->part;
    return 0;
}

/* Tell of the coroutine's end, and leave the exception as it is, where one is set. */
static int finish(Step *self) {
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyObject *done = PyObject_CallMethodNoArgs((PyObject *)self, finish_name);
    if (done != NULL) {
        Py_DECREF(done);
        PyErr_Restore(type, error, traceback);
        return 0;
    }
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    return -1;
}

static PySendResult go_on(Step *self, PyObject *value, PyObject **result) {
    if (self->coroutine == NULL || self->gathered == NULL || self->reading == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a step needs `coroutine`, `gathered` and `reading`");
        return PYGEN_ERROR;
    }
    long long now;
    if (read_clock(clock_ns, &now) < 0 || resume(self, now) < 0) return PYGEN_ERROR;
    self->part = now;
    PyObject *coroutine = Py_NewRef(self->coroutine);
    PySendResult outcome = PyIter_Send(coroutine, value, result);
    Py_DECREF(coroutine);
    int is_well = outcome == PYGEN_NEXT ? suspend(self, *result) == 0 : finish(self) == 0;
    if (is_well) return outcome;
    Py_CLEAR(*result);
    return PYGEN_ERROR;
}

/* As `am_send`, by which a task gets here without looking up a method. */
static PySendResult step_am_send(PyObject *self, PyObject *value, PyObject **result) {
    *result = NULL;
    Py_INCREF(self); /* whatever the host does meanwhile */
    PySendResult outcome = go_on((Step *)self, value, result);
    Py_DECREF(self);
    return outcome;
}

PyDoc_STRVAR(send_doc, "Run the coroutine to its next suspension.");

static PyObject *step_send(PyObject *self, PyObject *value) {
    PyObject *result;
    if (step_am_send(self, value, &result) != PYGEN_RETURN) return result;
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result);
    Py_DECREF(result);
    if (stop != NULL) PyErr_SetObject(PyExc_StopIteration, stop);
    Py_XDECREF(stop);
    return NULL;
}

PyDoc_STRVAR(init_subclass_doc, "Give a subclass `am_send`, which a class made in Python does not inherit.");

static PyObject *step_init_subclass(PyObject *type, PyObject *Py_UNUSED(ignored)) {
    ((PyTypeObject *)type)->tp_as_async->am_send = step_am_send;
    Py_RETURN_NONE;
}

static int step_traverse(PyObject *object, visitproc visit, void *arg) {
    Step *self = (Step *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->coroutine);
    Py_VISIT(self->awaited);
    Py_VISIT(self->context);
    Py_VISIT(self->gathered);
    Py_VISIT(self->reading);
    return 0;
}

static int step_clear(PyObject *object) {
    Step *self = (Step *)object;
    Py_CLEAR(self->coroutine);
    Py_CLEAR(self->awaited);
    Py_CLEAR(self->context);
    Py_CLEAR(self->gathered);
    Py_CLEAR(self->reading);
    return 0;
}

static void step_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    step_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static void plain_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    type->tp_free(object);
    Py_DECREF(type);
}

/* A field that C reads as one of its own types takes nothing else. */
static int set_typed(PyObject **field, PyObject *value, PyTypeObject *type) {
    if (value == NULL || !PyObject_TypeCheck(value, type)) {
        PyErr_Format(PyExc_TypeError, "this must be a %s", type->tp_name);
        return -1;
    }
    PyObject *before = *field;
    *field = Py_NewRef(value);
    Py_XDECREF(before);
    return 0;
}

static PyObject *get_gathered(PyObject *self, void *Py_UNUSED(closure)) {
    PyObject *value = ((Step *)self)->gathered;
    return Py_NewRef(value == NULL ? Py_None : value);
}

static int set_gathered(PyObject *self, PyObject *value, void *Py_UNUSED(closure)) {
    return set_typed(&((Step *)self)->gathered, value, sums_type);
}

static PyObject *get_reading(PyObject *self, void *Py_UNUSED(closure)) {
    PyObject *value = ((Step *)self)->reading;
    return Py_NewRef(value == NULL ? Py_None : value);
}

static int set_reading(PyObject *self, PyObject *value, void *Py_UNUSED(closure)) {
    return set_typed(&((Step *)self)->reading, value, reading_type);
}

static PyMemberDef sums_members[] = {
    {"cpu", T_LONGLONG, offsetof(Sums, cpu), 0, NULL},
    {"short", T_LONGLONG, offsetof(Sums, limit), 0, NULL},
    {"short_count", T_LONGLONG, offsetof(Sums, short_count), 0, NULL},
    {"short_ns", T_LONGLONG, offsetof(Sums, short_ns), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot sums_slots[] = {{Py_tp_members, sums_members}, {Py_tp_dealloc, plain_dealloc}, {0, NULL}};
static PyType_Spec sums_spec = {
    "spanwise.causality._steps.Sums", sizeof(Sums), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, sums_slots};

static PyMemberDef reading_members[] = {
    {"cpu", T_LONGLONG, offsetof(Reading, cpu), 0, NULL},
    {"due", T_LONGLONG, offsetof(Reading, due), 0, NULL},
    {"thread", T_ULONG, offsetof(Reading, thread), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot reading_slots[] = {{Py_tp_members, reading_members}, {Py_tp_dealloc, plain_dealloc}, {0, NULL}};
static PyType_Spec reading_spec = {
    "spanwise.causality._steps.Reading", sizeof(Reading), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, reading_slots};

static PyMemberDef step_members[] = {
    {"coroutine", T_OBJECT, offsetof(Step, coroutine), 0, NULL},
    {"awaited", T_OBJECT, offsetof(Step, awaited), 0, NULL},
    {"context", T_OBJECT, offsetof(Step, context), 0, NULL},
    {"suspended", T_LONGLONG, offsetof(Step, suspended), 0, NULL},
    {"part", T_LONGLONG, offsetof(Step, part), 0, NULL},
    {"explicit", T_LONGLONG, offsetof(Step, explicit_waits), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyGetSetDef step_getset[] = {
    {"gathered", get_gathered, set_gathered, NULL, NULL},
    {"reading", get_reading, set_reading, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyMethodDef step_methods[] = {
    {"send", step_send, METH_O, send_doc},
    {"__init_subclass__", step_init_subclass, METH_NOARGS | METH_CLASS, init_subclass_doc},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot step_slots[] = {
    {Py_tp_members, step_members}, {Py_tp_getset, step_getset}, {Py_tp_methods, step_methods},
    {Py_tp_traverse, step_traverse}, {Py_tp_clear, step_clear}, {Py_tp_dealloc, step_dealloc}, {0, NULL}};
static PyType_Spec step_spec = {
    "spanwise.causality._steps.Step", sizeof(Step), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, step_slots};

/* Futures. What follows is given once, by `futures.py`. */

static struct {
    PyObject *set_result, *release_from, *next_number, *current_task, *coroutine_of, *thread_origin;
    PyObject *run_handle, *timed, *unknown, *releasing, *parts, *span_key;
} given;
static PyObject *identity_name, *loop_name, *release_name, *thread_id_name;

/* Each function below returns a new reference. NULL says that Python is to find out, whether with an exception, which
   is then cleared, or without. */

static PyObject *release(PyObject *place, PyObject *driver, PyObject *span) {
    PyObject *number = PyObject_CallNoArgs(given.next_number);
    if (number == NULL) return NULL;
    PyObject *made = PyTuple_Pack(4, place, driver, span, number);
    Py_DECREF(number);
    return made;
}

/* The loop itself resolves the future: somebody scheduled that, nobody knows who. */
static PyObject *by_handle(PyObject *result) {
    PyAsyncMethods *methods = Py_TYPE(result)->tp_as_async;
    int is_future = methods != NULL && methods->am_await != NULL;
    if (is_future || PySet_GET_SIZE(given.timed) != 0) return NULL;
    PyObject *origin;
    if (PyContextVar_Get(given.thread_origin, NULL, &origin) < 0) return NULL;
    if (origin == NULL) return release(given.unknown, Py_None, Py_None);
    Py_DECREF(origin);
    return NULL;
}

static PyObject *current_identity(void) {
    PyObject *context = current_context();
    if (context == NULL) return NULL;
    PyObject *span = PyDict_Check(context) ? PyDict_GetItemWithError(context, given.span_key) : NULL;
    PyObject *identity = NULL;
    if (span != NULL)
        identity = PyObject_CallMethodNoArgs(span, identity_name);
    else if (!PyErr_Occurred() && PyDict_Check(context))
        identity = Py_NewRef(Py_None);
    Py_DECREF(context);
    return identity;
}

static PyObject *by_task(PyObject *task, PyCodeObject *code) {
    PyObject *key = PyLong_FromVoidPtr(code);
    if (key == NULL) return NULL;
    PyObject *place = PyDict_GetItemWithError(given.releasing, key);
    Py_DECREF(key);
    if (place == NULL) {
        if (PyErr_Occurred()) return NULL;
        place = Py_None;
    } else if (PySequence_Contains(given.parts, PyTuple_GET_ITEM(place, 1)) != 0)
        return NULL;
    PyObject *driver = PyObject_CallOneArg(given.coroutine_of, task), *identity = NULL, *found = NULL;
    if (driver != NULL && PyObject_TypeCheck(driver, step_type) && (identity = current_identity()) != NULL)
        found = release(place, driver, identity);
    Py_XDECREF(driver);
    Py_XDECREF(identity);
    return found;
}

static PyObject *common_release(PyFrameObject *frame, PyObject *loop, PyObject *result) {
    PyObject *thread = PyObject_GetAttr(loop, thread_id_name);
    if (thread == NULL) return NULL;
    int is_own = PyLong_Check(thread) && PyLong_AsUnsignedLong(thread) == PyThread_get_thread_ident();
    Py_DECREF(thread);
    if (!is_own) return NULL;
    PyObject *task = PyObject_CallOneArg(given.current_task, loop), *found = NULL;
    if (task == NULL) return NULL;
    PyCodeObject *code = PyFrame_GetCode(frame);
    if (task != Py_None)
        found = by_task(task, code);
    else if ((PyObject *)code == given.run_handle)
        found = by_handle(result);
    Py_DECREF(code);
    Py_DECREF(task);
    return found;
}

PyDoc_STRVAR(set_result_doc, "Mark the future as done, by whoever calls this.");

static PyObject *set_result(PyObject *self, PyObject *result) {
    PyObject *done = PyObject_CallFunctionObjArgs(given.set_result, self, result, NULL);
    PyObject *loop = done == NULL ? NULL : PyObject_GetAttr(self, loop_name), *found = NULL;
    if (loop != NULL) {
        PyFrameObject *frame = PyEval_GetFrame();
        if (frame != NULL) found = common_release(frame, loop, result);
        if (found == NULL && (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_Exception))) {
            PyErr_Clear();
            PyObject *caller = frame == NULL ? Py_None : (PyObject *)frame;
            found = PyObject_CallFunctionObjArgs(given.release_from, caller, loop, result, NULL);
        }
        Py_DECREF(loop);
    }
    if (found == NULL || PyObject_SetAttr(self, release_name, found) < 0) Py_CLEAR(done);
    Py_XDECREF(found);
    return done;
}

static PyMethodDef set_result_method = {"set_result", set_result, METH_O, set_result_doc};

PyDoc_STRVAR(resolver_doc, "Return a method `set_result` for a class of futures, which notes who calls it.");

static PyObject *resolver(PyObject *Py_UNUSED(module), PyObject *arguments, PyObject *names) {
    static char *keywords[] = {
        "future", "set_result", "release_from", "next_number", "current_task", "coroutine_of", "thread_origin",
        "run_handle", "timed", "unknown", "releasing", "parts", "span_key", NULL};
    PyObject *future;
    if (!PyArg_ParseTupleAndKeywords(
            arguments, names, "$O!OOOOOO!OO!O!O!OO", keywords, &PyType_Type, &future, &given.set_result,
            &given.release_from, &given.next_number, &given.current_task, &given.coroutine_of, &PyContextVar_Type,
            &given.thread_origin, &given.run_handle, &PySet_Type, &given.timed, &PyTuple_Type, &given.unknown,
            &PyDict_Type, &given.releasing, &given.parts, &given.span_key))
        return NULL;
    /* For as long as the process runs, as the class has the method */
    for (PyObject **one = (PyObject **)&given; one < (PyObject **)(&given + 1); one++) Py_INCREF(*one);
    return PyDescr_NewMethod((PyTypeObject *)future, &set_result_method);
}

PyDoc_STRVAR(read_with_doc, "Take both clocks (ns) and OpenTelemetry's context, a variable or a function, from these.");

static PyObject *read_with(PyObject *Py_UNUSED(module), PyObject *arguments) {
    if (!PyArg_ParseTuple(arguments, "OOO", &clock_ns, &cpu_clock_ns, &step_context)) return NULL;
    Py_INCREF(clock_ns);
    Py_INCREF(cpu_clock_ns);
    Py_INCREF(step_context);
    Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
    {"read_with", read_with, METH_VARARGS, read_with_doc},
    {"resolver", (PyCFunction)(void (*)(void))resolver, METH_VARARGS | METH_KEYWORDS, resolver_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_steps", "What runs at each step of a task, in C.", -1, module_methods,
    NULL, NULL, NULL, NULL};

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec) {
    PyObject *type = PyType_FromSpec(spec);
    if (type == NULL || PyModule_AddType(module, (PyTypeObject *)type) < 0) return NULL;
    return (PyTypeObject *)type;
}

static int add_all(PyObject *module) {
    static const struct {
        PyObject **place;
        const char *name;
    } names[] = {
        {&count_long_name, "_count_long"}, {&finish_name, "_finish"}, {&identity_name, "get_span_context"},
        {&look_up_name, "_look_up"}, {&loop_name, "_loop"}, {&release_name, "release"}, {&resume_name, "_resume"},
        {&thread_id_name, "_thread_id"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if ((*names[i].place = PyUnicode_InternFromString(names[i].name)) == NULL) return -1;
    if ((sums_type = add_type(module, &sums_spec)) == NULL || (reading_type = add_type(module, &reading_spec)) == NULL
        || (step_type = add_type(module, &step_spec)) == NULL)
        return -1;
    if (PyModule_AddIntConstant(module, "INTERFACE", INTERFACE) < 0) return -1;
    if (PyModule_AddIntConstant(module, "LONG_NS", LONG_NS) < 0) return -1;
    return PyModule_AddIntConstant(module, "REFRESH_NS", REFRESH_NS);
}

PyMODINIT_FUNC PyInit__steps(void) {
    PyObject *module = PyModule_Create(&module_definition);
    if (module != NULL && add_all(module) < 0) Py_CLEAR(module);
    return module;
}
