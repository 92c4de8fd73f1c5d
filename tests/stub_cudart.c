/* A CUDA runtime library without a GPU: memory is the host's, every recorded event is .5 ms
   after the one before, and what is made and destroyed is counted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int live[3]; /* memory, streams, events */
static int ticks;
static char failing[64];
static char calls[1 << 16];

int stub_live(int kind) { return live[kind]; }
const char *stub_calls(void) { return calls; }
void stub_fail(const char *name) { snprintf(failing, sizeof failing, "%s", name); }
void stub_forget(void) { calls[0] = 0; }

static int done(const char *name) {
    if (strlen(calls) + strlen(name) + 2 < sizeof calls) {
        strcat(calls, name);
        strcat(calls, " ");
    }
    return strcmp(failing, name) ? 0 : 700;
}
static int make(const char *name, int kind, void **out, size_t size) {
    int code = done(name);
    if (code) return code;
    live[kind]++;
    *out = calloc(1, size);
    return 0;
}
static int destroy(const char *name, int kind, void *thing) {
    live[kind]--;
    free(thing);
    return done(name);
}

const char *cudaGetErrorString(int code) {
    return code == 700 ? "an illegal memory access was encountered" : "unknown";
}
int cudaSetDevice(int device) { return done("cudaSetDevice"); }
int cudaDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? 8 : 7;
    return done("cudaDeviceGetAttribute");
}
int cudaGetDeviceProperties(char *properties, int device) {
    memset(properties, 1, 1032);
    strcpy(properties, "Stub Orin");
    return done("cudaGetDeviceProperties");
}
int cudaDriverGetVersion(int *version) { *version = 12060; return done("cudaDriverGetVersion"); }
int cudaRuntimeGetVersion(int *version) { *version = 12080; return done("cudaRuntimeGetVersion"); }
int cudaMalloc(void **memory, size_t size) { return make("cudaMalloc", 0, memory, size); }
int cudaFree(void *memory) { return destroy("cudaFree", 0, memory); }
int cudaMemcpyAsync(void *to, const void *from, size_t size, int kind, void *stream) {
    memcpy(to, from, size);
    return done(kind == 1 ? "copy-in" : "copy-out");
}
int cudaStreamCreateWithFlags(void **stream, unsigned flags) {
    return make("cudaStreamCreateWithFlags", 1, stream, 1);
}
int cudaStreamSynchronize(void *stream) { return done("cudaStreamSynchronize"); }
int cudaStreamDestroy(void *stream) { return destroy("cudaStreamDestroy", 1, stream); }
int cudaEventCreate(void **event) { return make("cudaEventCreate", 2, event, sizeof(int)); }
int cudaEventRecord(int *event, void *stream) { *event = ++ticks; return done("cudaEventRecord"); }
int cudaEventSynchronize(void *event) { return done("cudaEventSynchronize"); }
int cudaEventElapsedTime(float *ms, const int *start, const int *stop) {
    *ms = .5f * (*stop - *start);
    return done("cudaEventElapsedTime");
}
int cudaEventDestroy(void *event) { return destroy("cudaEventDestroy", 2, event); }
