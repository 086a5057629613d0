/* What runs at each step of a task and whenever a future is resolved, in C: `steps.py`, and of
   `releases.release_from` what occurs most. Everything else stays in Python, which is called for it.

   A fault here would end the host, so there is as little as can be. Objects that C reads the fields of are checked
   when they are set; the rest are asked as Python asks them. The tests count references and memory. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <stddef.h>

#ifdef Py_GIL_DISABLED
#error "a Python without the GIL runs the steps in Python"
#endif

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

/* The module's state: each interpreter has its own. */
typedef struct {
    PyTypeObject *sums_type, *reading_type, *step_type, *resolver_type;
    PyObject *clock_ns, *cpu_clock_ns, *step_context; /* from `read_with` */
    PyObject *count_long_name, *finish_name, *look_up_name, *resume_name;
    PyObject *identity_name, *loop_name, *release_name, *thread_id_name;
} State;

/* The objects in it, for those who visit or release them one after the other */
#define STATE_OBJECTS(state) ((PyObject **)(state))
#define STATE_SIZE (sizeof(State) / sizeof(PyObject *))

typedef struct {
    PyObject_HEAD
    State *state; /* its type keeps the module, and so this */
    PyObject *coroutine, *awaited, *context, *gathered, *reading;
    long long suspended, part, explicit_waits;
} Step;

static struct PyModuleDef module_definition;

/* The context variable of OpenTelemetry, or the function that stands for it. */
static PyObject *current_context(State *state) {
    PyObject *source = state->step_context;
    if (source == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "`read_with` comes first");
        return NULL;
    }
    if (PyContextVar_CheckExact(source)) {
        PyObject *context;
        if (PyContextVar_Get(source, NULL, &context) < 0) return NULL;
        if (context != NULL) return context;
        PyErr_SetString(PyExc_LookupError, "OpenTelemetry's context variable has no value");
        return NULL;
    }
    return PyObject_CallNoArgs(source);
}

static int read_clock(PyObject *clock, long long *now) {
    if (clock == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "`read_with` comes first");
        return -1;
    }
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
        return tell(self, self->state->resume_name, PyLong_FromLongLong(now));
    gathered->short_count++;
    gathered->short_ns += waited;
    if (now < reading->due) return 0;
    reading->due = now + REFRESH_NS;
    return read_clock(self->state->cpu_clock_ns, &reading->cpu);
}

static int suspend(Step *self, PyObject *awaited) {
    PyObject *before = self->awaited;
    self->awaited = Py_NewRef(awaited);
    Py_XDECREF(before);
    if (read_clock(self->state->clock_ns, &self->suspended) < 0) return -1;
    long long now = self->suspended;
    PyObject *context = current_context(self->state);
    if (context == NULL) return -1;
    if (context == self->context)
        Py_DECREF(context);
    else if (tell(self, self->state->look_up_name, context) < 0)
        return -1;
    if (now - self->part >= LONG_NS) return tell(self, self->state->count_long_name, PyLong_FromLongLong(now));
    ((Sums *)self->gathered)->cpu += now - self->part;
    return 0;
}

/* Tell of the coroutine's end, and leave the exception as it is, where one is set. */
static int finish(Step *self) {
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyObject *done = PyObject_CallMethodNoArgs((PyObject *)self, self->state->finish_name);
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
    if (read_clock(self->state->clock_ns, &now) < 0 || resume(self, now) < 0) return PYGEN_ERROR;
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

static PyObject *step_new(PyTypeObject *type, PyObject *Py_UNUSED(arguments), PyObject *Py_UNUSED(names)) {
    PyObject *module = PyType_GetModuleByDef(type, &module_definition);
    Step *self = module == NULL ? NULL : (Step *)type->tp_alloc(type, 0);
    if (self != NULL) self->state = PyModule_GetState(module);
    return (PyObject *)self;
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
    if (value == NULL || type == NULL || !PyObject_TypeCheck(value, type)) {
        PyErr_Format(PyExc_TypeError, "this must be a %s", type == NULL ? "type of this module" : type->tp_name);
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
    return set_typed(&((Step *)self)->gathered, value, ((Step *)self)->state->sums_type);
}

static PyObject *get_reading(PyObject *self, void *Py_UNUSED(closure)) {
    PyObject *value = ((Step *)self)->reading;
    return Py_NewRef(value == NULL ? Py_None : value);
}

static int set_reading(PyObject *self, PyObject *value, void *Py_UNUSED(closure)) {
    return set_typed(&((Step *)self)->reading, value, ((Step *)self)->state->reading_type);
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
    {Py_tp_new, step_new}, {Py_tp_members, step_members}, {Py_tp_getset, step_getset}, {Py_tp_methods, step_methods},
    {Py_tp_traverse, step_traverse}, {Py_tp_clear, step_clear}, {Py_tp_dealloc, step_dealloc}, {0, NULL}};
static PyType_Spec step_spec = {
    "spanwise.causality._steps.Step", sizeof(Step), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, step_slots};

/* Futures: a method `set_result`, which knows what `futures.py` gave it. */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    const char *name, *qualified_name;
    State *state;
    PyObject *module; /* keeps the state */
    PyObject *future, *set_result, *release_from, *next_number, *current_task, *coroutine_of, *thread_origin;
    PyObject *run_handle, *timed, *unknown, *releasing, *parts, *span_key;
} Resolver;

#define GIVEN(self) (&((Resolver *)(self))->module)
#define GIVEN_SIZE ((sizeof(Resolver) - offsetof(Resolver, module)) / sizeof(PyObject *))

/* Each function below returns a new reference. NULL says that Python is to find out, whether with an exception, which
   is then cleared, or without. */

static PyObject *release(Resolver *self, PyObject *place, PyObject *driver, PyObject *span) {
    PyObject *number = PyObject_CallNoArgs(self->next_number);
    if (number == NULL) return NULL;
    PyObject *made = PyTuple_Pack(4, place, driver, span, number);
    Py_DECREF(number);
    return made;
}

/* The loop itself resolves the future: somebody scheduled that, nobody knows who. */
static PyObject *by_handle(Resolver *self, PyObject *result) {
    PyAsyncMethods *methods = Py_TYPE(result)->tp_as_async;
    int is_future = methods != NULL && methods->am_await != NULL;
    if (is_future || PySet_GET_SIZE(self->timed) != 0) return NULL;
    PyObject *origin;
    if (PyContextVar_Get(self->thread_origin, NULL, &origin) < 0) return NULL;
    if (origin == NULL) return release(self, self->unknown, Py_None, Py_None);
    Py_DECREF(origin);
    return NULL;
}

static PyObject *current_identity(Resolver *self) {
    PyObject *context = current_context(self->state);
    if (context == NULL) return NULL;
    PyObject *span = PyDict_Check(context) ? PyDict_GetItemWithError(context, self->span_key) : NULL;
    PyObject *identity = NULL;
    if (span != NULL)
        identity = PyObject_CallMethodNoArgs(span, self->state->identity_name);
    else if (!PyErr_Occurred() && PyDict_Check(context))
        identity = Py_NewRef(Py_None);
    Py_DECREF(context);
    return identity;
}

static PyObject *by_task(Resolver *self, PyObject *task, PyCodeObject *code) {
    PyObject *key = PyLong_FromVoidPtr(code);
    if (key == NULL) return NULL;
    PyObject *place = PyDict_GetItemWithError(self->releasing, key);
    Py_DECREF(key);
    if (place == NULL) {
        if (PyErr_Occurred()) return NULL;
        place = Py_None;
    } else if (PySequence_Contains(self->parts, PyTuple_GET_ITEM(place, 1)) != 0)
        return NULL;
    PyObject *driver = PyObject_CallOneArg(self->coroutine_of, task), *identity = NULL, *found = NULL;
    if (driver != NULL && PyObject_TypeCheck(driver, self->state->step_type) && (identity = current_identity(self)) != NULL)
        found = release(self, place, driver, identity);
    Py_XDECREF(driver);
    Py_XDECREF(identity);
    return found;
}

static PyObject *common_release(Resolver *self, PyFrameObject *frame, PyObject *loop, PyObject *result) {
    PyObject *thread = PyObject_GetAttr(loop, self->state->thread_id_name);
    if (thread == NULL) return NULL;
    int is_own = PyLong_Check(thread) && PyLong_AsUnsignedLong(thread) == PyThread_get_thread_ident();
    Py_DECREF(thread);
    if (!is_own) return NULL;
    PyObject *task = PyObject_CallOneArg(self->current_task, loop), *found = NULL;
    if (task == NULL) return NULL;
    PyCodeObject *code = PyFrame_GetCode(frame);
    if (task != Py_None)
        found = by_task(self, task, code);
    else if ((PyObject *)code == self->run_handle)
        found = by_handle(self, result);
    Py_DECREF(code);
    Py_DECREF(task);
    return found;
}

/* Mark a future as done, by whoever calls this. */
static PyObject *set_result(Resolver *self, PyObject *future, PyObject *result) {
    PyObject *done = PyObject_CallFunctionObjArgs(self->set_result, future, result, NULL);
    if (self->state->loop_name == NULL) return done; /* the interpreter is ending */
    PyObject *loop = done == NULL ? NULL : PyObject_GetAttr(future, self->state->loop_name), *found = NULL;
    if (loop != NULL) {
        PyFrameObject *frame = PyEval_GetFrame();
        if (frame != NULL) found = common_release(self, frame, loop, result);
        if (found == NULL && (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_Exception))) {
            PyErr_Clear();
            PyObject *caller = frame == NULL ? Py_None : (PyObject *)frame;
            found = PyObject_CallFunctionObjArgs(self->release_from, caller, loop, result, NULL);
        }
        Py_DECREF(loop);
    }
    if (found == NULL || PyObject_SetAttr(future, self->state->release_name, found) < 0) Py_CLEAR(done);
    Py_XDECREF(found);
    return done;
}

static PyObject *resolver_call(PyObject *object, PyObject *const *arguments, size_t flags, PyObject *names) {
    Resolver *self = (Resolver *)object;
    if (PyVectorcall_NARGS(flags) != 2 || (names != NULL && PyTuple_GET_SIZE(names) != 0))
        return PyErr_Format(PyExc_TypeError, "set_result() takes exactly one argument");
    if (!PyObject_TypeCheck(arguments[0], (PyTypeObject *)self->future))
        return PyErr_Format(PyExc_TypeError, "set_result() doesn't apply to a '%s' object", Py_TYPE(arguments[0])->tp_name);
    Py_INCREF(object); /* whatever the host does meanwhile */
    PyObject *done = set_result(self, arguments[0], arguments[1]);
    Py_DECREF(object);
    return done;
}

static PyObject *resolver_bind(PyObject *self, PyObject *future, PyObject *Py_UNUSED(type)) {
    return future == NULL || future == Py_None ? Py_NewRef(self) : PyMethod_New(self, future);
}

static int resolver_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    for (size_t i = 0; i < GIVEN_SIZE; i++) Py_VISIT(GIVEN(self)[i]);
    return 0;
}

/* A cycle of futures with it is freed by those: without what it was given it could not be called any more. */
static void resolver_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    for (size_t i = 0; i < GIVEN_SIZE; i++) Py_CLEAR(GIVEN(self)[i]);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(resolver_type_doc, "Mark the future as done, by whoever calls this.");

static PyMemberDef resolver_members[] = {
    {"__name__", T_STRING, offsetof(Resolver, name), READONLY, NULL},
    {"__qualname__", T_STRING, offsetof(Resolver, qualified_name), READONLY, NULL},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Resolver, call), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot resolver_slots[] = {
    {Py_tp_doc, (void *)resolver_type_doc}, {Py_tp_members, resolver_members}, {Py_tp_call, PyVectorcall_Call}, {Py_tp_descr_get, resolver_bind},
    {Py_tp_traverse, resolver_traverse}, {Py_tp_dealloc, resolver_dealloc}, {0, NULL}};
static PyType_Spec resolver_spec = {
    "spanwise.causality._steps.Resolver", sizeof(Resolver), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR
        | Py_TPFLAGS_DISALLOW_INSTANTIATION, resolver_slots};

PyDoc_STRVAR(resolver_doc, "Return a method `set_result` for a class of futures, which notes who calls it.");

static PyObject *resolver(PyObject *module, PyObject *arguments, PyObject *names) {
    static char *keywords[] = {
        "future", "set_result", "release_from", "next_number", "current_task", "coroutine_of", "thread_origin",
        "run_handle", "timed", "unknown", "releasing", "parts", "span_key", NULL};
    State *state = PyModule_GetState(module);
    Resolver *self = (Resolver *)state->resolver_type->tp_alloc(state->resolver_type, 0);
    if (self == NULL) return NULL;
    self->call = resolver_call;
    self->name = "set_result";
    self->qualified_name = "Future.set_result";
    self->state = state;
    if (!PyArg_ParseTupleAndKeywords(
            arguments, names, "$O!OOOOOO!OO!O!O!OO", keywords, &PyType_Type, &self->future, &self->set_result,
            &self->release_from, &self->next_number, &self->current_task, &self->coroutine_of, &PyContextVar_Type,
            &self->thread_origin, &self->run_handle, &PySet_Type, &self->timed, &PyTuple_Type, &self->unknown,
            &PyDict_Type, &self->releasing, &self->parts, &self->span_key)) {
        memset(GIVEN(self), 0, GIVEN_SIZE * sizeof(PyObject *)); /* these are the caller's */
        Py_DECREF(self);
        return NULL;
    }
    self->module = module;
    for (size_t i = 0; i < GIVEN_SIZE; i++) Py_INCREF(GIVEN(self)[i]);
    return (PyObject *)self;
}

PyDoc_STRVAR(read_with_doc, "Take both clocks (ns) and OpenTelemetry's context, a variable or a function, from these.");

static PyObject *read_with(PyObject *module, PyObject *arguments) {
    PyObject *clock, *cpu_clock, *context;
    if (!PyArg_ParseTuple(arguments, "OOO", &clock, &cpu_clock, &context)) return NULL;
    State *state = PyModule_GetState(module);
    Py_XSETREF(state->clock_ns, Py_NewRef(clock));
    Py_XSETREF(state->cpu_clock_ns, Py_NewRef(cpu_clock));
    Py_XSETREF(state->step_context, Py_NewRef(context));
    Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
    {"read_with", read_with, METH_VARARGS, read_with_doc},
    {"resolver", (PyCFunction)(void (*)(void))resolver, METH_VARARGS | METH_KEYWORDS, resolver_doc},
    {NULL, NULL, 0, NULL},
};

static int add_type(PyObject *module, PyTypeObject **place, PyType_Spec *spec) {
    *place = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *place == NULL ? -1 : PyModule_AddType(module, *place);
}

static int add_all(PyObject *module) {
    State *state = PyModule_GetState(module);
    struct {
        PyObject **place;
        const char *name;
    } names[] = {
        {&state->count_long_name, "_count_long"}, {&state->finish_name, "_finish"},
        {&state->identity_name, "get_span_context"}, {&state->look_up_name, "_look_up"}, {&state->loop_name, "_loop"},
        {&state->release_name, "release"}, {&state->resume_name, "_resume"}, {&state->thread_id_name, "_thread_id"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if ((*names[i].place = PyUnicode_InternFromString(names[i].name)) == NULL) return -1;
    if (add_type(module, &state->sums_type, &sums_spec) < 0 || add_type(module, &state->reading_type, &reading_spec) < 0
        || add_type(module, &state->step_type, &step_spec) < 0
        || add_type(module, &state->resolver_type, &resolver_spec) < 0)
        return -1;
    if (PyModule_AddIntConstant(module, "INTERFACE", INTERFACE) < 0) return -1;
    if (PyModule_AddIntConstant(module, "LONG_NS", LONG_NS) < 0) return -1;
    return PyModule_AddIntConstant(module, "REFRESH_NS", REFRESH_NS);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    PyObject **objects = STATE_OBJECTS(PyModule_GetState(module));
    for (size_t i = 0; i < STATE_SIZE; i++) Py_VISIT(objects[i]);
    return 0;
}

static int module_clear(PyObject *module) {
    PyObject **objects = STATE_OBJECTS(PyModule_GetState(module));
    for (size_t i = 0; i < STATE_SIZE; i++) Py_CLEAR(objects[i]);
    return 0;
}

static void module_free(void *module) { module_clear(module); }

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, add_all},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_USED},
#endif
    {0, NULL}};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_steps", "What runs at each step of a task, in C.", sizeof(State), module_methods,
    module_slots, module_traverse, module_clear, module_free};

PyMODINIT_FUNC PyInit__steps(void) { return PyModuleDef_Init(&module_definition); }
