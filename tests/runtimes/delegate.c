/* A delegate that accelerates nothing, behind the two functions that LiteRT looks for in a delegate's library, and that
   fails in the way its option "device" says. With RECORD, the name of a file, it writes down what is asked of it. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Delegate {
    void *data;
    int (*prepare)(void *context, struct Delegate *delegate);
    int (*from_buffer)(void *, struct Delegate *, int, void *);
    int (*to_buffer)(void *, struct Delegate *, int, void *);
    void (*free_buffer)(void *, struct Delegate *, int *);
    int64_t flags;
    void *opaque_builder;
} Delegate;

#ifdef RECORD
static void record(const char *call, const char *with) {
    FILE *file = fopen(RECORD, "a");
    if (file) { fprintf(file, "%s %s\n", call, with); fclose(file); }
}
__attribute__((constructor)) static void loaded(void) { record("dlopen", ""); }
#else
static void record(const char *call, const char *with) { (void)call; (void)with; }
#endif

static Delegate *made_last;

static const char *which(Delegate *delegate) { return delegate == made_last ? "the one made" : "another"; }
static int ready(void *context, Delegate *delegate) { (void)context; record("prepare", which(delegate)); return 0; }
static int falls(void *context, Delegate *delegate) { (void)context; (void)delegate; abort(); }

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
    const char *device = "";
    record("create", report ? "with an error handler" : "without an error handler");
    for (size_t i = 0; i < count; i++) {
        record(keys[i], values[i]);
        if (strcmp(keys[i], "device") == 0) device = values[i];
    }
    if (strcmp(device, "usb:1") == 0) { write(1, "driver on fire\n", 15); abort(); }
    if (strcmp(device, "usb:2") == 0) for (;;) pause();
    if (strcmp(device, "usb:3") == 0) { if (report) report("no such accelerator"); return NULL; }
    Delegate *made = calloc(1, sizeof *made);
    made->prepare = strcmp(device, "usb:4") == 0 ? falls : ready;
    made_last = made;
    return made;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) { record("destroy", which(delegate)); free(delegate); }
