/* A fake libnvidia-ml.so.1 for tests: the ABI that pynvml binds, played from a scenario file.
 *
 * FAKE_NVML_SCENARIO names the file; it is read again when it changes, so that tests drive a running
 * process. A line is `<t_ms> <device|*|MIG-uuid> <key> <value>`: from t_ms after the (re)load on, the
 * key has the value; later lines win. FAKE_NVML_CLOCK names a file of eight bytes, microseconds that
 * replace the real clock. A key that is absent answers NOT_SUPPORTED, a value `err=N` answers N. The keys
 * are listed in scenario.py.
 *
 * -DOLD_DRIVER leaves out the v3 process lists, memory v2 and GPM, as old drivers do. The device list
 * is fixed at init. Handles of an earlier init or of a destroyed MIG instance answer
 * INVALID_ARGUMENT and are counted in fake_nvml_stale_uses.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef unsigned int u32;
typedef unsigned long long u64;
#define API __attribute__((visibility("default"))) int

enum {
    OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4,
    NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, TIMEOUT = 10, GPU_IS_LOST = 15, VERSION_MISMATCH = 25
};
enum { ANY = 0, GPU = 1, MIG = 2, NONE = 3 };

/* --- the structures of the ABI; sizes are compared with pynvml's by a test ------------------- */
typedef struct { char legacy[16]; u32 domain, bus, device, pci, subsystem; char bus_id[32]; } PciInfo;
typedef struct { u64 total, free, used; } Memory;
typedef struct { u32 version; u64 total, reserved, free, used; } MemoryV2;
typedef struct { u32 gpu, memory; } Utilization;
typedef struct { u64 time; union { u32 u; u64 l; double d; } value; } Sample;
typedef struct { u32 pid; u64 memory; u32 gi, ci; } ProcessInfo;
typedef struct { u32 pid; u64 memory; u32 gi, ci; u64 confidential; } ProcessInfo535;
typedef struct { u32 pid; u64 time; u32 sm, mem, enc, dec; } ProcessUtil;
typedef struct { u64 time; u32 pid, sm, mem, enc, dec, jpeg, ofa; } UtilizationRow;
typedef struct { u32 version, count; u64 last; UtilizationRow *rows; } UtilizationList;
typedef struct { u32 id, scope; long long time, latency; u32 type, ret; u64 value; } FieldValue;
typedef struct { u32 version; int sensor, temperature; } Temperature;
typedef struct { u32 sm, copy, decoder, encoder, jpeg, ofa, gi_slices, ci_slices; u64 memory_mb; } Attributes;
typedef struct { void *device; u64 type, data; u32 gi, ci; } EventData;
typedef struct { u32 version, supported; } GpmSupport;
typedef struct { u32 id, ret; double value; const char *names[3]; } GpmMetric;
typedef struct { u32 version, count; void *sample1, *sample2; GpmMetric metrics[]; } GpmMetrics;
typedef struct { u32 version, id, p2p, slices, instances, sm, copy, decoder, encoder, jpeg, ofa; u64 memory_mb; char name[96]; } ProfileInfo;
typedef struct { void *device; u32 id, profile, start, size; } InstanceInfo;
typedef struct { u32 code, state; char rest[276]; } Feature;
typedef struct { int supported; u32 count; Feature features[3]; } Features;
#define SIZE_OF(type) API fake_nvml_sizeof_##type(void) { return sizeof(type); }
SIZE_OF(PciInfo) SIZE_OF(Memory) SIZE_OF(MemoryV2) SIZE_OF(Utilization) SIZE_OF(Sample)
SIZE_OF(ProcessInfo) SIZE_OF(ProcessUtil) SIZE_OF(FieldValue) SIZE_OF(Temperature)
SIZE_OF(Attributes) SIZE_OF(EventData) SIZE_OF(GpmSupport) SIZE_OF(GpmMetric)
SIZE_OF(ProfileInfo) SIZE_OF(InstanceInfo) SIZE_OF(Features) SIZE_OF(UtilizationRow) SIZE_OF(UtilizationList)

/* --- the scenario ---------------------------------------------------------------------------- */
typedef struct { double t; u32 hash; char dev[56], key[64]; char *value; long calls; int delivered; } Entry;
static Entry entries[16384];
static int n_entries;
static u64 loaded_at;
static struct stat loaded;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static u64 now_us(void)
{
    static const u64 *mapped;
    static char of[512];
    const char *path = getenv("FAKE_NVML_CLOCK");
    struct timespec ts;
    if (path && strcmp(path, of)) {
        int fd = open(path, O_RDONLY);
        void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *mapped, PROT_READ, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED) abort();
        close(fd);
        mapped = at; /* an earlier test's stays mapped: a thread may still look at it */
        snprintf(of, sizeof of, "%s", path);
    }
    if (path) return __atomic_load_n(mapped, __ATOMIC_RELAXED);
    clock_gettime(CLOCK_REALTIME, &ts);
    return (u64)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static u32 hash_of(const char *text)
{
    u32 hash = 2166136261u;
    while (*text) hash = (hash ^ (unsigned char)*text++) * 16777619u;
    return hash;
}

static void reload(void)
{
    const char *path = getenv("FAKE_NVML_SCENARIO");
    struct stat st;
    char line[512];
    FILE *f;
    if (!path || stat(path, &st)) return;
    if (st.st_mtim.tv_sec == loaded.st_mtim.tv_sec && st.st_mtim.tv_nsec == loaded.st_mtim.tv_nsec
        && st.st_size == loaded.st_size && st.st_ino == loaded.st_ino) return;
    if (!(f = fopen(path, "r"))) return;
    for (int i = 0; i < n_entries; i++) free(entries[i].value);
    n_entries = 0;
    while (n_entries < 16384 && fgets(line, sizeof line, f)) {
        Entry *e = &entries[n_entries];
        int at = 0;
        line[strcspn(line, "\n")] = 0;
        if (line[0] == '#' || sscanf(line, "%lf %55s %63s %n", &e->t, e->dev, e->key, &at) < 3 || !at) continue;
        e->value = strdup(line + at);
        e->hash = hash_of(e->key);
        e->calls = e->delivered = 0;
        n_entries++;
    }
    fclose(f);
    loaded = st;
    loaded_at = now_us();
}

void fake_nvml_poll(void)
{
    pthread_mutex_lock(&lock);
    reload();
    pthread_mutex_unlock(&lock);
}

static int reached(const Entry *e, u64 at) { return e->t <= 0 || loaded_at + (u64)(e->t * 1000) <= at; }

static Entry *find(const char *dev, const char *key, u64 at)
{
    Entry *best = NULL;
    u32 hash = hash_of(key);
    for (int i = 0; i < n_entries; i++) {
        Entry *e = &entries[i];
        if (e->hash != hash || strcmp(e->key, key)) continue;
        if (strcmp(e->dev, dev) && (e->dev[0] != '*' || dev[0] == 'M')) continue;
        if (reached(e, at) && (!best || e->t >= best->t)) best = e;
    }
    return best;
}

static const char *text_of(const char *dev, const char *key, const char *otherwise)
{
    Entry *e = find(dev, key, now_us());
    return e ? e->value : otherwise;
}

/* The number after `name=` in a value, or the first word when name is NULL. */
static double part(const char *value, const char *name, double otherwise)
{
    char needle[32];
    const char *at = value;
    if (name) {
        snprintf(needle, sizeof needle, "%s=", name);
        while ((at = strstr(at, needle)) && at != value && at[-1] != ' ') at++;
        if (!at) return otherwise;
        at += strlen(needle);
    }
    return strtod(at, NULL);
}

static double level(const Entry *e, u64 at)
{
    return part(e->value, NULL, 0) + part(e->value, "rate", 0) * ((double)at - (double)loaded_at) / 1e6;
}

/* A number by key: the value, or the code of the error. */
static int number(const char *dev, const char *key, u64 at, double *out)
{
    Entry *e = find(dev, key, at);
    if (!e) return NOT_SUPPORTED;
    if (!strncmp(e->value, "err=", 4)) return atoi(e->value + 4);
    *out = level(e, at);
    return OK;
}

static double number_or(const char *dev, const char *key, double otherwise)
{
    double out = otherwise;
    number(dev, key, now_us(), &out);
    return out;
}

/* --- handles and the way into every function -------------------------------------------------- */
typedef struct { int generation, index; char dev[56], parent[56]; } Handle;
static Handle handles[4096];
static int n_handles, generation, references, devices;
API fake_nvml_stale_uses;
API fake_nvml_attached;

static Handle *handle_of(const char *dev, const char *parent, int index)
{
    for (int i = 0; i < n_handles; i++)
        if (handles[i].generation == generation && !strcmp(handles[i].dev, dev)) return &handles[i];
    Handle *h = &handles[n_handles < 4096 ? n_handles++ : 0];
    h->generation = generation;
    h->index = index;
    snprintf(h->dev, sizeof h->dev, "%s", dev);
    snprintf(h->parent, sizeof h->parent, "%s", parent);
    if (!*parent) {
        fake_nvml_attached++;
        usleep(1000 * (u32)number_or(dev, "init_ms", 0));
    }
    return h;
}

static int mig_index(const char *dev, const char *uuid)
{
    char key[32];
    for (int i = 0; i < 8; i++) {
        snprintf(key, sizeof key, "mig.%d", i);
        if (!strcmp(text_of(dev, key, "-"), uuid)) return i;
    }
    return -1;
}

static int check_handle(Handle *h, int kind)
{
    int known = h >= handles && h < handles + n_handles && h->generation == generation;
    if (known && *h->parent && (number_or(h->parent, "mig", 0) == 0 || mig_index(h->parent, h->dev) < 0)) known = 0;
    if (!known) {
        fake_nvml_stale_uses++;
        return INVALID_ARGUMENT;
    }
    const char *gpu = *h->parent ? h->parent : h->dev;
    if (number_or(gpu, "lost", 0)) return GPU_IS_LOST;
    if (number_or(gpu, "no_permission", 0)) return NO_PERMISSION;
    if (kind == GPU && *h->parent) return NOT_SUPPORTED;
    if (kind == MIG && !*h->parent) return INVALID_ARGUMENT;
    return OK;
}

/* Takes the lock; after a failure it is released again and the code returned. */
static int enter(const char *symbol, void *given, int kind)
{
    Handle *h = given;
    char key[96];
    int code = OK;
    const char *dev = "*";
    pthread_mutex_lock(&lock);
    reload();
    if (references == 0) code = UNINITIALIZED;
    if (!code && kind != NONE) {
        code = check_handle(h, kind);
        if (!code) dev = h->dev;
    }
    for (u64 slept = 0;; slept += 5) {
        snprintf(key, sizeof key, "hang.%s", symbol);
        if (slept >= (u64)number_or(dev, key, 0)) break;
        pthread_mutex_unlock(&lock);
        usleep(5000);
        pthread_mutex_lock(&lock);
        reload();
    }
    snprintf(key, sizeof key, "fail.%s", symbol);
    Entry *e = code ? NULL : find(dev, key, now_us());
    if (e) {
        long call = e->calls++, after = (long)part(e->value, "after", 0);
        if (call >= after && call < after + (long)part(e->value, "times", 1e9)) code = (int)part(e->value, NULL, 0);
    }
    if (code) pthread_mutex_unlock(&lock);
    return code;
}

static int leave(int code)
{
    pthread_mutex_unlock(&lock);
    return code;
}

#define ENTER(symbol, h, kind) do { int code_ = enter(#symbol, h, kind); if (code_) return code_; } while (0)
#define CALL(symbol, params, h, kind, ...) API symbol params { ENTER(symbol, h, kind); __VA_ARGS__ }
#define DEV(h) (((Handle *)(h))->dev)

static int copy_text(const char *text, char *out, u32 size)
{
    if (!text) return NOT_SUPPORTED;
    if (!strncmp(text, "err=", 4)) return atoi(text + 4);
    if (strlen(text) + 1 > size) return INSUFFICIENT_SIZE;
    strcpy(out, text);
    return OK;
}

#define TEXT_OF_DEVICE(symbol, key) \
    API symbol(void *h, char *out, u32 size) { ENTER(symbol, h, ANY); return leave(copy_text(text_of(DEV(h), key, NULL), out, size)); }
#define TEXT_OF_SYSTEM(symbol, key) \
    API symbol(char *out, u32 size) { ENTER(symbol, NULL, NONE); return leave(copy_text(text_of("*", key, NULL), out, size)); }
#define NUMBER_OF_DEVICE(symbol, key, type, kind) \
    API symbol(void *h, type *out) { ENTER(symbol, h, kind); double v = 0; int c = number(DEV(h), key, now_us(), &v); if (!c) *out = (type)v; return leave(c); }

/* --- system ------------------------------------------------------------------------------------ */
API nvmlInitWithFlags(u32 flags)
{
    (void)flags;
    pthread_mutex_lock(&lock);
    reload();
    if (references++ == 0) {
        generation++;
        devices = (int)number_or("*", "devices", 0);
        usleep(1000 * (u32)number_or("*", "init_ms", 0));
    }
    pthread_mutex_unlock(&lock);
    int code = enter("nvmlInitWithFlags", NULL, NONE);
    if (code) references--;
    return code ? code : leave(OK);
}

CALL(nvmlShutdown, (void), NULL, NONE, references--; return leave(OK);)

__attribute__((visibility("default"))) const char *nvmlErrorString(int code)
{
    static char text[32];
    snprintf(text, sizeof text, "fake error %d", code);
    return text;
}

TEXT_OF_SYSTEM(nvmlSystemGetDriverVersion, "driver")
TEXT_OF_SYSTEM(nvmlSystemGetNVMLVersion, "nvml")
CALL(nvmlSystemGetCudaDriverVersion_v2, (int *out), NULL, NONE,
     *out = (int)number_or("*", "cuda", 12040); return leave(OK);)

/* --- devices ------------------------------------------------------------------------------------ */
CALL(nvmlDeviceGetCount_v2, (u32 *out), NULL, NONE,
     *out = number_or("*", "live_count", 0) ? (u32)number_or("*", "devices", 0) : (u32)devices; return leave(OK);)

API nvmlDeviceGetHandleByIndex_v2(u32 index, void **out)
{
    char dev[16];
    ENTER(nvmlDeviceGetHandleByIndex_v2, NULL, NONE);
    if (index >= (u32)devices) return leave(INVALID_ARGUMENT);
    snprintf(dev, sizeof dev, "%u", index);
    if (number_or(dev, "lost", 0)) return leave(GPU_IS_LOST);
    if (number_or(dev, "no_permission", 0)) return leave(NO_PERMISSION);
    *out = handle_of(dev, "", (int)index);
    return leave(OK);
}

API nvmlDeviceGetHandleByUUID(const char *uuid, void **out)
{
    char dev[16];
    ENTER(nvmlDeviceGetHandleByUUID, NULL, NONE);
    for (int i = 0; i < devices; i++) {
        snprintf(dev, sizeof dev, "%d", i);
        int gpu = !strcmp(text_of(dev, "uuid", ""), uuid);
        if (!gpu && mig_index(dev, uuid) < 0) continue;
        *out = gpu ? handle_of(dev, "", i) : handle_of(uuid, dev, mig_index(dev, uuid));
        return leave(OK);
    }
    return leave(NOT_FOUND);
}

CALL(nvmlDeviceGetUUID, (void *h, char *out, u32 size), h, ANY,
     return leave(copy_text(*((Handle *)h)->parent ? DEV(h) : text_of(DEV(h), "uuid", NULL), out, size));)

TEXT_OF_DEVICE(nvmlDeviceGetName, "name")

CALL(nvmlDeviceGetIndex, (void *h, u32 *out), h, GPU, *out = (u32)((Handle *)h)->index; return leave(OK);)

NUMBER_OF_DEVICE(nvmlDeviceGetMinorNumber, "minor", u32, GPU)

API nvmlDeviceGetPciInfo_v3(void *h, PciInfo *out)
{
    ENTER(nvmlDeviceGetPciInfo_v3, h, GPU);
    memset(out, 0, sizeof *out);
    return leave(copy_text(text_of(DEV(h), "bus_id", NULL), out->bus_id, sizeof out->bus_id));
}

API nvmlDeviceGetMemoryInfo(void *h, Memory *out)
{
    double total = 0, used = 0, reserved;
    ENTER(nvmlDeviceGetMemoryInfo, h, ANY);
    int code = number(DEV(h), "mem_total", now_us(), &total);
    if (!code) code = number(DEV(h), "mem_used", now_us(), &used);
    reserved = number_or(DEV(h), "mem_reserved", 0);
    *out = (Memory){(u64)total, (u64)(total - used - reserved), (u64)(used + reserved)};
    return leave(code);
}

#ifndef OLD_DRIVER
API nvmlDeviceGetMemoryInfo_v2(void *h, MemoryV2 *out)
{
    double total = 0, used = 0, reserved;
    ENTER(nvmlDeviceGetMemoryInfo_v2, h, ANY);
    if (out->version != (sizeof *out | 2u << 24)) return leave(VERSION_MISMATCH);
    int code = number(DEV(h), "mem_total", now_us(), &total);
    if (!code) code = number(DEV(h), "mem_used", now_us(), &used);
    reserved = number_or(DEV(h), "mem_reserved", 0);
    *out = (MemoryV2){out->version, (u64)total, (u64)reserved, (u64)(total - used - reserved), (u64)used};
    return leave(code);
}
#endif

static int mig_on(void *h) { return number_or(DEV(h), "mig", 0) != 0; }

API nvmlDeviceGetUtilizationRates(void *h, Utilization *out)
{
    double gpu = 0, memory = 0;
    ENTER(nvmlDeviceGetUtilizationRates, h, GPU);
    if (mig_on(h)) return leave(NOT_SUPPORTED);
    int code = number(DEV(h), "util", now_us(), &gpu);
    if (!code) code = number(DEV(h), "mem_util", now_us(), &memory);
    *out = (Utilization){(u32)gpu, (u32)memory};
    return leave(code);
}

#define SAMPLE_US 166667

API nvmlDeviceGetSamples(void *h, int type, u64 last, int *value_type, u32 *count, Sample *out)
{
    u32 n = 0;
    double v = 0;
    ENTER(nvmlDeviceGetSamples, h, GPU);
    if (type != 1 || mig_on(h)) return leave(NOT_SUPPORTED);
    *value_type = 1;
    if (!out) return *count = 100, leave(OK);
    u64 newest = now_us() / SAMPLE_US;
    for (u64 k = newest > 99 ? newest - 99 : 1; k <= newest && n < *count; k++) {
        if (k * SAMPLE_US <= last || number(DEV(h), "util", k * SAMPLE_US, &v)) continue;
        out[n].time = k * SAMPLE_US;
        out[n++].value.u = (u32)v;
    }
    *count = n;
    return leave(n ? OK : NOT_FOUND);
}

NUMBER_OF_DEVICE(nvmlDeviceGetPowerUsage, "power", u32, GPU)
NUMBER_OF_DEVICE(nvmlDeviceGetTotalEnergyConsumption, "energy", u64, GPU)
NUMBER_OF_DEVICE(nvmlDeviceGetFanSpeed, "fan", u32, GPU)
NUMBER_OF_DEVICE(nvmlDeviceGetPcieReplayCounter, "replay", u32, GPU)
NUMBER_OF_DEVICE(nvmlDeviceGetCurrentClocksThrottleReasons, "throttle", u64, GPU)
NUMBER_OF_DEVICE(nvmlDeviceGetSupportedEventTypes, "event_types", u64, GPU)
#ifndef OLD_DRIVER
NUMBER_OF_DEVICE(nvmlDeviceGetCurrentClocksEventReasons, "throttle", u64, GPU)
#endif

static int number_at(void *h, const char *key, u32 *out)
{
    double v = 0;
    int code = number(DEV(h), key, now_us(), &v);
    *out = (u32)v;
    return leave(code);
}

CALL(nvmlDeviceGetTemperature, (void *h, int sensor, u32 *out), h, GPU,
     return sensor ? leave(INVALID_ARGUMENT) : number_at(h, "temperature", out);)

API nvmlDeviceGetTemperatureV(void *h, Temperature *out)
{
    ENTER(nvmlDeviceGetTemperatureV, h, GPU);
    if (out->version != (sizeof *out | 1u << 24)) return leave(VERSION_MISMATCH);
    return number_at(h, "temperature", (u32 *)&out->temperature);
}

CALL(nvmlDeviceGetClockInfo, (void *h, int type, u32 *out), h, GPU,
     return number_at(h, type == 1 ? "clock_sm" : type == 2 ? "clock_mem" : "clock_other", out);)

API nvmlDeviceGetPcieThroughput(void *h, int counter, u32 *out)
{
    ENTER(nvmlDeviceGetPcieThroughput, h, GPU);
    usleep(20000); /* as drivers do; it must not be called every round */
    return number_at(h, counter ? "pcie_rx" : "pcie_tx", out);
}

#define CODEC(symbol, key) \
    API symbol(void *h, u32 *out, u32 *period) { ENTER(symbol, h, GPU); double v = 0; \
    int c = mig_on(h) ? NOT_SUPPORTED : number(DEV(h), key, now_us(), &v); *out = (u32)v; *period = SAMPLE_US; return leave(c); }
CODEC(nvmlDeviceGetEncoderUtilization, "enc")
CODEC(nvmlDeviceGetDecoderUtilization, "dec")

API nvmlDeviceGetRemappedRows(void *h, u32 *correctable, u32 *uncorrectable, u32 *pending, u32 *failure)
{
    double values[4] = {0};
    ENTER(nvmlDeviceGetRemappedRows, h, GPU);
    int code = number(DEV(h), "field.142", now_us(), &values[0]);
    number(DEV(h), "field.143", now_us(), &values[1]);
    number(DEV(h), "field.145", now_us(), &values[3]);
    *correctable = (u32)values[0], *uncorrectable = (u32)values[1], *pending = 0, *failure = (u32)values[3];
    return leave(code);
}

/* A value may say `type=N`, the value type that is claimed (r545 claims a wrong one). */
API nvmlDeviceGetFieldValues(void *h, int count, FieldValue *values)
{
    char key[32];
    ENTER(nvmlDeviceGetFieldValues, h, GPU);
    for (int i = 0; i < count; i++) {
        double v = 0;
        snprintf(key, sizeof key, "field.%u", values[i].id);
        values[i].ret = (u32)number(DEV(h), key, now_us(), &v);
        values[i].time = (long long)now_us();
        values[i].value = (u64)v;
        values[i].type = 3;
        if (!values[i].ret) values[i].type = (u32)part(find(DEV(h), key, now_us())->value, "type", 3);
        if (!values[i].ret && values[i].type == 0) memcpy(&values[i].value, &v, sizeof v);
    }
    return leave(OK);
}

API nvmlDeviceGetGridLicensableFeatures_v4(void *h, Features *out)
{
    double v = 0;
    ENTER(nvmlDeviceGetGridLicensableFeatures_v4, h, GPU);
    memset(out, 0, sizeof *out);
    int code = number(DEV(h), "license", now_us(), &v);
    out->supported = 1, out->count = 1, out->features[0].state = (u32)v;
    return leave(code);
}

/* --- processes ---------------------------------------------------------------------------------- */
typedef struct { u32 pid; const char *value; } Process;

static int processes_of(const char *dev, Process *out, int room)
{
    int n = 0;
    u64 at = now_us();
    for (int i = 0; i < n_entries; i++) {
        Entry *e = &entries[i];
        if (strncmp(e->key, "proc.", 5) || strcmp(e->dev, dev) || !reached(e, at)) continue;
        if (find(dev, e->key, at) != e || !strncmp(e->value, "off", 3) || n >= room) continue;
        out[n++] = (Process){(u32)strtoul(e->key + 5, NULL, 10), e->value};
    }
    return n;
}

static int list_processes(const char *symbol, void *h, char kind, u32 *count, void *out)
{
    Process found[512];
    u32 n = 0;
    int code = enter(symbol, h, ANY);
    if (code) return code;
    Handle *handle = h;
    const char *gpu = *handle->parent ? handle->parent : handle->dev;
    int all = processes_of(gpu, found, 512), wide = number_or(gpu, "stride535", 0) != 0;
    for (int i = 0; i < all; i++) {
        const char *kinds = strstr(found[i].value, "kind=");
        u32 gi = (u32)part(found[i].value, "gi", 4294967295.0);
        if (part(found[i].value, "listed", 1) == 0) continue;
        if (kinds ? !memchr(kinds + 5, kind, strcspn(kinds + 5, " ")) : kind != 'C') continue;
        if (*handle->parent && gi != (u32)number_or(handle->dev, "gi", 0)) continue;
        double memory = part(found[i].value, "mem", -1);
        ProcessInfo535 row = {
            (u32)part(found[i].value, "listed_pid", found[i].pid), memory < 0 ? ~0ULL : (u64)memory, gi,
            (u32)part(found[i].value, "ci", 4294967295.0), 0};
        if (out && n < *count) memcpy((char *)out + n * (wide ? 32u : 24u), &row, wide ? 32 : 24);
        n++;
    }
    int short_of = !out ? n > 0 : n > *count;
    *count = n;
    return leave(short_of ? INSUFFICIENT_SIZE : OK);
}

#define PROCESS_LIST(symbol, kind) \
    API symbol(void *h, u32 *count, void *out) { return list_processes(#symbol, h, kind, count, out); }
PROCESS_LIST(nvmlDeviceGetComputeRunningProcesses_v2, 'C')
PROCESS_LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, 'G')
#ifndef OLD_DRIVER
PROCESS_LIST(nvmlDeviceGetComputeRunningProcesses_v3, 'C')
PROCESS_LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, 'G')
PROCESS_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, 'M')
#endif

/* Those that computed since a time. */
static u32 busy_of(void *h, u64 last, u64 *at, Process *out)
{
    u32 n = 0;
    *at = now_us() / SAMPLE_US * SAMPLE_US;
    int all = *at > last ? processes_of(DEV(h), out, 512) : 0;
    for (int i = 0; i < all; i++) {
        const char *v = out[i].value;
        if (part(v, "sm", 0) + part(v, "memu", 0) + part(v, "enc", 0) + part(v, "dec", 0)) out[n++] = out[i];
    }
    return n;
}

API nvmlDeviceGetProcessUtilization(void *h, ProcessUtil *out, u32 *count, u64 last)
{
    Process found[512];
    u64 at;
    ENTER(nvmlDeviceGetProcessUtilization, h, GPU);
    if (mig_on(h)) return leave(NOT_SUPPORTED);
    u32 n = busy_of(h, last, &at, found), room = *count;
    for (u32 i = 0; out && i < n && i < room; i++) {
        const char *v = found[i].value;
        out[i] = (ProcessUtil){found[i].pid, at, (u32)part(v, "sm", 0), (u32)part(v, "memu", 0), (u32)part(v, "enc", 0), (u32)part(v, "dec", 0)};
    }
    *count = n && !out ? 100 : n; /* as drivers ask for, however many there are */
    return leave(!n ? NOT_FOUND : !out || n > room ? INSUFFICIENT_SIZE : OK);
}

API nvmlDeviceGetProcessesUtilizationInfo(void *h, UtilizationList *list)
{
    Process found[512];
    u64 at;
    ENTER(nvmlDeviceGetProcessesUtilizationInfo, h, GPU);
    if (list->version != (sizeof *list | 1u << 24)) return leave(VERSION_MISMATCH);
    if (mig_on(h)) return leave(NOT_SUPPORTED);
    u32 n = busy_of(h, list->last, &at, found), room = list->rows ? list->count : 0;
    for (u32 i = 0; i < n && i < room; i++) {
        const char *v = found[i].value;
        list->rows[i] = (UtilizationRow){at, found[i].pid, (u32)part(v, "sm", 0), (u32)part(v, "memu", 0), (u32)part(v, "enc", 0), (u32)part(v, "dec", 0), 0, 0};
    }
    list->count = n;
    return leave(!n ? NOT_FOUND : n > room ? INSUFFICIENT_SIZE : OK);
}

/* --- MIG ---------------------------------------------------------------------------------------- */
API nvmlDeviceGetMigMode(void *h, u32 *current, u32 *pending)
{
    double v = 0;
    ENTER(nvmlDeviceGetMigMode, h, GPU);
    int code = number(DEV(h), "mig", now_us(), &v);
    *current = (u32)v;
    *pending = (u32)number_or(DEV(h), "mig_pending", v);
    return leave(code);
}

CALL(nvmlDeviceGetMaxMigDeviceCount, (void *h, u32 *out), h, GPU,
     *out = find(DEV(h), "mig", now_us()) ? 8 : 0; return leave(OK);)

API nvmlDeviceGetMigDeviceHandleByIndex(void *h, u32 index, void **out)
{
    char key[32];
    ENTER(nvmlDeviceGetMigDeviceHandleByIndex, h, GPU);
    snprintf(key, sizeof key, "mig.%u", index);
    const char *uuid = text_of(DEV(h), key, "-");
    if (!mig_on(h) || !strcmp(uuid, "-")) return leave(NOT_FOUND);
    *out = handle_of(uuid, DEV(h), (int)index);
    return leave(OK);
}

CALL(nvmlDeviceGetDeviceHandleFromMigDeviceHandle, (void *h, void **out), h, MIG,
     *out = handle_of(((Handle *)h)->parent, "", atoi(((Handle *)h)->parent)); return leave(OK);)

CALL(nvmlDeviceIsMigDeviceHandle, (void *h, u32 *out), h, ANY, *out = *((Handle *)h)->parent != 0; return leave(OK);)

NUMBER_OF_DEVICE(nvmlDeviceGetGpuInstanceId, "gi", u32, MIG)
NUMBER_OF_DEVICE(nvmlDeviceGetComputeInstanceId, "ci", u32, MIG)

API nvmlDeviceGetAttributes_v2(void *h, Attributes *out)
{
    double total = 0;
    ENTER(nvmlDeviceGetAttributes_v2, h, MIG);
    memset(out, 0, sizeof *out);
    out->gi_slices = out->ci_slices = (u32)number_or(DEV(h), "slices", 1);
    int code = number(DEV(h), "mem_total", now_us(), &total);
    out->memory_mb = (u64)total >> 20;
    return leave(code);
}

/* A GPU instance is passed on as its GPU's handle with the instance's number in the low bits. */
typedef struct { void *gpu; u32 id; } Instance;
static Instance instances[64];

CALL(nvmlDeviceGetGpuInstanceById, (void *h, u32 id, void **out), h, GPU,
     instances[id % 64] = (Instance){h, id}; *out = &instances[id % 64]; return leave(OK);)

API nvmlGpuInstanceGetInfo(void *instance, InstanceInfo *out)
{
    Instance *i = instance;
    ENTER(nvmlGpuInstanceGetInfo, i->gpu, GPU);
    char key[32];
    snprintf(key, sizeof key, "profile_of.%u", i->id);
    memset(out, 0, sizeof *out);
    out->device = i->gpu, out->id = i->id, out->profile = 100 + (u32)number_or(DEV(i->gpu), key, 0);
    return leave(OK);
}

API nvmlDeviceGetGpuInstanceProfileInfoV(void *h, u32 profile, ProfileInfo *out)
{
    char key[32];
    ENTER(nvmlDeviceGetGpuInstanceProfileInfoV, h, GPU);
    if (out->version != (sizeof *out | 2u << 24)) return leave(VERSION_MISMATCH);
    snprintf(key, sizeof key, "profile.%u", profile);
    out->id = 100 + profile; /* the profile IDs of drivers differ from the profile numbers of calls */
    return leave(copy_text(text_of(DEV(h), key, NULL), out->name, sizeof out->name));
}

/* --- events ------------------------------------------------------------------------------------- */
typedef struct { u64 since; u64 mask[64]; int generation; } EventSet;

API nvmlEventSetCreate(void **out)
{
    ENTER(nvmlEventSetCreate, NULL, NONE);
    EventSet *set = calloc(1, sizeof *set);
    set->since = now_us();
    set->generation = generation;
    *out = set;
    return leave(OK);
}

CALL(nvmlEventSetFree, (void *set), NULL, NONE, free(set); return leave(OK);)

API nvmlDeviceRegisterEvents(void *h, u64 types, void *set)
{
    double supported = 0;
    ENTER(nvmlDeviceRegisterEvents, h, GPU);
    int code = number(DEV(h), "event_types", now_us(), &supported);
    if (!code && types & ~(u64)supported) code = INVALID_ARGUMENT;
    if (!code) ((EventSet *)set)->mask[((Handle *)h)->index % 64] = types;
    return leave(code);
}

static int next_event(EventSet *set, EventData *out)
{
    u64 now = now_us();
    for (int i = 0; i < n_entries; i++) {
        Entry *e = &entries[i];
        u64 at = loaded_at + (u64)(e->t * 1000);
        u64 type = !strcmp(e->key, "xid") ? 8 : !strcmp(e->key, "mig_event") ? 256 : 0;
        if (!type || e->delivered || at < set->since || at > now) continue;
        if (!(set->mask[atoi(e->dev) % 64] & type)) continue;
        e->delivered = 1;
        *out = (EventData){handle_of(e->dev, "", atoi(e->dev)), type, type == 8 ? (u64)part(e->value, NULL, 0) : 0,
                           (u32)part(e->value, "gi", 4294967295.0), (u32)part(e->value, "ci", 4294967295.0)};
        return 1;
    }
    return 0;
}

API nvmlEventSetWait_v2(void *set, EventData *out, u32 timeout_ms)
{
    ENTER(nvmlEventSetWait_v2, NULL, NONE);
    for (u32 waited = 0;; waited += 5) {
        if (references == 0) return leave(UNINITIALIZED);
        if (next_event(set, out)) return leave(OK);
        if (waited >= timeout_ms) return leave(TIMEOUT);
        pthread_mutex_unlock(&lock);
        usleep(5000);
        pthread_mutex_lock(&lock);
        reload();
    }
}

/* --- GPM ---------------------------------------------------------------------------------------- */
#ifndef OLD_DRIVER
typedef struct { char dev[56]; int gi; u64 at; } GpmSample;

API nvmlGpmQueryDeviceSupport(void *h, GpmSupport *out)
{
    ENTER(nvmlGpmQueryDeviceSupport, h, GPU);
    if (out->version != 1) return leave(VERSION_MISMATCH);
    out->supported = (u32)number_or(DEV(h), "gpm_supported", 0);
    return leave(OK);
}

CALL(nvmlGpmSampleAlloc, (void **out), NULL, NONE, *out = calloc(1, sizeof(GpmSample)); return leave(OK);)

CALL(nvmlGpmSampleFree, (void *sample), NULL, NONE, free(sample); return leave(OK);)

static int take_sample(void *h, int gi, GpmSample *sample)
{
    if (!number_or(DEV(h), "gpm_supported", 0)) return NOT_SUPPORTED;
    snprintf(sample->dev, sizeof sample->dev, "%s", DEV(h));
    sample->gi = gi;
    sample->at = now_us();
    return OK;
}

CALL(nvmlGpmSampleGet, (void *h, void *sample), h, GPU, return leave(take_sample(h, -1, sample));)

CALL(nvmlGpmMigSampleGet, (void *h, u32 gi, void *sample), h, GPU,
     return leave(mig_on(h) ? take_sample(h, (int)gi, sample) : NOT_SUPPORTED);)

API nvmlGpmMetricsGet(GpmMetrics *get)
{
    char key[32];
    ENTER(nvmlGpmMetricsGet, NULL, NONE);
    GpmSample *first = get->sample1, *second = get->sample2;
    if (get->version != 1) return leave(VERSION_MISMATCH);
    if (!first || !second || second->at < first->at + 100000) return leave(INVALID_ARGUMENT);
    for (u32 i = 0; i < get->count; i++) {
        if (second->gi < 0) snprintf(key, sizeof key, "gpm.%u", get->metrics[i].id);
        else snprintf(key, sizeof key, "gpm.gi%d.%u", second->gi, get->metrics[i].id);
        get->metrics[i].ret = (u32)number(second->dev, key, second->at, &get->metrics[i].value);
    }
    return leave(OK);
}
#endif
