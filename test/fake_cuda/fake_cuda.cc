// A stand-in for libcuda.so.1 and libnvidia-ml.so.1, for tests on machines without a GPU.
//
// "GPU memory" is a shared memory object that is mapped twice: the address given out may not be
// touched, so that a program which takes it for its own memory crashes; copies go by the other.
// Handles name the object, so they work between processes. TEPAL_FAKE_GPUS says how many devices
// there are (2), the last of which is a MIG slice; CUDA_VISIBLE_DEVICES leaves some of them, by
// index or UUID; TEPAL_FAKE_PINNED_MAX says how many bytes can be pinned (1 GiB). Streams are not
// told apart; a thread that records one (CUDA graphs) records copies, and breaks the recording when
// it allocates.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "core/gpu/cuda_api.h"
#include "core/gpu/cuda_graph_api.h"
#include "core/gpu/nvml_api.h"

using namespace tepal::gpu;

namespace {

constexpr CudaResult kInvalidValue = 1, kNotInitialized = 3, kInvalidDevice = 101,
                     kInvalidContext = 201, kInvalidHandle = 400, kAlreadyRegistered = 712,
                     kNotRegistered = 713, kCaptureUnsupported = 900, kCaptureInvalidated = 901;
constexpr size_t kDeviceMemory = size_t{1} << 30;

struct Allocation {
  std::string name;
  char* untouchable = nullptr;
  char* alias = nullptr;
  size_t size = 0;
  bool imported = false;
};

std::mutex mutex;
bool initialised = false;
std::map<CudaPointer, Allocation> allocations;
std::map<void*, size_t> pinned;
int next_name = 0;
thread_local int contexts = 0;

struct RecordedCopy {
  CudaPointer to = 0, from = 0;
  size_t size = 0;
};
struct Recording {
  std::vector<RecordedCopy> copies;
  bool broken = false;
};
thread_local Recording* recording = nullptr;

size_t Setting(const char* name, size_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}
int Devices() { return static_cast<int>(Setting("TEPAL_FAKE_GPUS", 2)); }

std::string UuidOf(int device) {
  char text[64];
  std::snprintf(text, sizeof(text), "%s-fa000000-0000-0000-0000-0000000000%02x",
                device == Devices() - 1 ? "MIG" : "GPU", static_cast<unsigned>(device));
  return text;
}

// By ordinal. As CUDA does it, the list ends at the first word that is no device.
std::vector<int> VisibleDevices() {
  const char* list = std::getenv("CUDA_VISIBLE_DEVICES");
  std::vector<int> visible;
  if (list == nullptr) {
    for (int device = 0; device < Devices(); ++device) visible.push_back(device);
    return visible;
  }
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, ',');) {
    int found = 0;
    while (found < Devices() && word != std::to_string(found) && word != UuidOf(found)) ++found;
    if (found == Devices()) break;
    visible.push_back(found);
  }
  return visible;
}

size_t PinnedBytes() {
  size_t total = 0;
  for (const auto& [start, size] : pinned) total += size;
  return total;
}

CudaResult Map(Allocation allocation, int object, CudaPointer* out) {
  const auto map = [&](int access) {
    return static_cast<char*>(mmap(nullptr, allocation.size, access, MAP_SHARED, object, 0));
  };
  allocation.untouchable = map(PROT_NONE);
  allocation.alias = map(PROT_READ | PROT_WRITE);
  close(object);
  if (allocation.untouchable == MAP_FAILED || allocation.alias == MAP_FAILED) {
    return kCudaOutOfMemory;
  }
  *out = reinterpret_cast<CudaPointer>(allocation.untouchable);
  allocations[*out] = std::move(allocation);
  return kCudaSuccess;
}

void Unmap(const Allocation& allocation) {
  munmap(allocation.untouchable, allocation.size);
  munmap(allocation.alias, allocation.size);
  if (!allocation.imported) shm_unlink(allocation.name.c_str());
}

// Where the bytes of a device address can be reached; null for one that is not ours.
char* Reach(CudaPointer address, size_t size) {
  auto found = allocations.upper_bound(address);
  if (found == allocations.begin()) return nullptr;
  --found;
  const size_t offset = address - found->first;
  if (offset > found->second.size || size > found->second.size - offset) return nullptr;
  return found->second.alias + offset;
}

// Objects that were never freed go with the process.
struct Cleaner {
  ~Cleaner() {
    for (const auto& [address, allocation] : allocations) {
      if (!allocation.imported) shm_unlink(allocation.name.c_str());
    }
  }
} cleaner;

CudaResult Check() {
  if (!initialised) return kNotInitialized;
  return contexts > 0 ? kCudaSuccess : kInvalidContext;
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT CudaResult cuInit(unsigned) {
  initialised = true;
  return kCudaSuccess;
}
EXPORT CudaResult cuGetErrorString(CudaResult result, const char** text) {
  *text = result == kCudaOutOfMemory  ? "out of memory"
          : result == kInvalidContext ? "invalid device context"
          : result == kInvalidHandle  ? "invalid resource handle"
                                      : "fake error";
  return kCudaSuccess;
}
EXPORT CudaResult cuDeviceGetCount(int* count) {
  *count = static_cast<int>(VisibleDevices().size());
  return initialised ? kCudaSuccess : kNotInitialized;
}
EXPORT CudaResult cuDeviceGet(CudaDevice* device, int ordinal) {
  const std::vector<int> visible = VisibleDevices();
  if (ordinal < 0 || ordinal >= static_cast<int>(visible.size())) return kInvalidDevice;
  *device = visible[static_cast<size_t>(ordinal)];
  return kCudaSuccess;
}
EXPORT CudaResult cuDeviceGetName(char* name, int size, CudaDevice) {
  std::snprintf(name, static_cast<size_t>(size), "Fake GPU");
  return kCudaSuccess;
}
EXPORT CudaResult cuDeviceGetUuid_v2(CudaUuid* uuid, CudaDevice device) {
  std::memset(uuid->bytes, 0, sizeof(uuid->bytes));
  uuid->bytes[0] = 0xfa;
  uuid->bytes[15] = static_cast<unsigned char>(device);
  return kCudaSuccess;
}
EXPORT CudaResult cuDeviceTotalMem_v2(size_t* bytes, CudaDevice) {
  *bytes = kDeviceMemory;
  return kCudaSuccess;
}
EXPORT CudaResult cuDevicePrimaryCtxRetain(CudaContext* context, CudaDevice device) {
  *context = reinterpret_cast<CudaContext>(static_cast<uintptr_t>(device) + 1);
  return kCudaSuccess;
}
EXPORT CudaResult cuDevicePrimaryCtxRelease_v2(CudaDevice) { return kCudaSuccess; }
EXPORT CudaResult cuCtxPushCurrent_v2(CudaContext) {
  ++contexts;
  return kCudaSuccess;
}
EXPORT CudaResult cuCtxPopCurrent_v2(CudaContext*) {
  --contexts;
  return kCudaSuccess;
}
EXPORT CudaResult cuMemAlloc_v2(CudaPointer* out, size_t size) {
  const std::lock_guard lock(mutex);
  if (Check() != kCudaSuccess) return Check();
  if (recording != nullptr) {
    recording->broken = true;
    return kCaptureUnsupported;
  }
  if (size > kDeviceMemory) return kCudaOutOfMemory;
  Allocation allocation;
  allocation.name =
      "/tepal-fake-gpu-" + std::to_string(getpid()) + "-" + std::to_string(next_name++);
  allocation.size = size;
  const int object = shm_open(allocation.name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  if (object < 0 || ftruncate(object, static_cast<off_t>(size)) != 0) return kCudaOutOfMemory;
  return Map(std::move(allocation), object, out);
}
EXPORT CudaResult cuMemFree_v2(CudaPointer address) {
  const std::lock_guard lock(mutex);
  const auto found = allocations.find(address);
  if (found == allocations.end()) return kInvalidValue;
  Unmap(found->second);
  allocations.erase(found);
  return kCudaSuccess;
}
EXPORT CudaResult cuMemGetAddressRange_v2(CudaPointer* base, size_t* size, CudaPointer address) {
  const std::lock_guard lock(mutex);
  const auto found = allocations.find(address);
  if (found == allocations.end()) return kInvalidValue;
  if (base != nullptr) *base = address;
  if (size != nullptr) *size = found->second.size;
  return kCudaSuccess;
}
EXPORT CudaResult cuMemHostRegister_v2(void* start, size_t size, unsigned) {
  const std::lock_guard lock(mutex);
  if (Check() != kCudaSuccess) return Check();
  if (PinnedBytes() + size > Setting("TEPAL_FAKE_PINNED_MAX", kDeviceMemory))
    return kCudaOutOfMemory;
  return pinned.emplace(start, size).second ? kCudaSuccess : kAlreadyRegistered;
}
EXPORT CudaResult cuMemHostUnregister(void* start) {
  const std::lock_guard lock(mutex);
  return pinned.erase(start) == 1 ? kCudaSuccess : kNotRegistered;
}
EXPORT CudaResult cuMemHostAlloc(void** out, size_t size, unsigned flags) {
  *out = std::aligned_alloc(4096, (size + 4095) / 4096 * 4096);
  const CudaResult result = cuMemHostRegister_v2(*out, size, flags);
  if (result != kCudaSuccess) std::free(*out);
  return result;
}
EXPORT CudaResult cuMemFreeHost(void* start) {
  const CudaResult result = cuMemHostUnregister(start);
  if (result == kCudaSuccess) std::free(start);
  return result;
}
EXPORT CudaResult cuIpcGetMemHandle(CudaIpcHandle* handle, CudaPointer address) {
  const std::lock_guard lock(mutex);
  const auto found = allocations.find(address);
  if (found == allocations.end()) return kInvalidValue;
  std::memset(handle->bytes, 0, sizeof(handle->bytes));
  std::snprintf(handle->bytes, sizeof(handle->bytes), "%s", found->second.name.c_str());
  return kCudaSuccess;
}
EXPORT CudaResult cuIpcOpenMemHandle_v2(CudaPointer* out, CudaIpcHandle handle, unsigned) {
  const std::lock_guard lock(mutex);
  if (Check() != kCudaSuccess) return Check();
  handle.bytes[sizeof(handle.bytes) - 1] = '\0';
  Allocation allocation;
  allocation.name = handle.bytes;
  allocation.imported = true;
  const int object = shm_open(handle.bytes, O_RDWR, 0);
  if (object < 0) return kInvalidHandle;
  struct stat facts;
  if (fstat(object, &facts) != 0) return kInvalidHandle;
  allocation.size = static_cast<size_t>(facts.st_size);
  return Map(std::move(allocation), object, out);
}
EXPORT CudaResult cuIpcCloseMemHandle(CudaPointer address) { return cuMemFree_v2(address); }
EXPORT CudaResult cuMemcpyHtoD_v2(CudaPointer to, const void* from, size_t size) {
  const std::lock_guard lock(mutex);
  if (Check() != kCudaSuccess) return Check();
  char* reached = Reach(to, size);
  if (reached == nullptr) return kInvalidValue;
  if (size > 0) std::memcpy(reached, from, size);
  return kCudaSuccess;
}
EXPORT CudaResult cuMemcpyDtoH_v2(void* to, CudaPointer from, size_t size) {
  const std::lock_guard lock(mutex);
  if (Check() != kCudaSuccess) return Check();
  const char* reached = Reach(from, size);
  if (reached == nullptr) return kInvalidValue;
  if (size > 0) std::memcpy(to, reached, size);
  return kCudaSuccess;
}
EXPORT CudaResult cuMemcpyAsync(CudaPointer to, CudaPointer from, size_t size, CudaStream) {
  if (recording != nullptr) {
    recording->copies.push_back({to, from, size});
    return kCudaSuccess;
  }
  const std::lock_guard lock(mutex);
  char* target = Reach(to, size);
  const char* source = Reach(from, size);
  if (target == nullptr) target = reinterpret_cast<char*>(to);
  if (source == nullptr) source = reinterpret_cast<const char*>(from);
  std::memmove(target, source, size);
  return kCudaSuccess;
}
EXPORT CudaResult cuStreamCreate(CudaStream* stream, unsigned) {
  *stream = nullptr;
  return kCudaSuccess;
}
EXPORT CudaResult cuStreamDestroy_v2(CudaStream) { return kCudaSuccess; }
EXPORT CudaResult cuStreamSynchronize(CudaStream) { return kCudaSuccess; }
EXPORT CudaResult cuEventCreate(CudaEvent* event, unsigned) {
  *event = nullptr;
  return kCudaSuccess;
}
EXPORT CudaResult cuEventDestroy_v2(CudaEvent) { return kCudaSuccess; }
EXPORT CudaResult cuEventRecord(CudaEvent, CudaStream) { return kCudaSuccess; }
EXPORT CudaResult cuEventQuery(CudaEvent) { return kCudaSuccess; }
EXPORT CudaResult cuEventSynchronize(CudaEvent) { return kCudaSuccess; }

EXPORT CudaResult cuStreamBeginCapture_v2(CudaStream, int mode) {
  if (recording != nullptr || mode != kCudaCaptureThreadLocal) return kInvalidValue;
  recording = new Recording;
  return kCudaSuccess;
}
EXPORT CudaResult cuStreamEndCapture(CudaStream, CudaGraphHandle* graph) {
  Recording* const ended = std::exchange(recording, nullptr);
  *graph = nullptr;
  if (ended == nullptr) return kInvalidValue;
  if (ended->broken) {
    delete ended;
    return kCaptureInvalidated;
  }
  *graph = reinterpret_cast<CudaGraphHandle>(ended);
  return kCudaSuccess;
}
EXPORT CudaResult cuGraphGetNodes(CudaGraphHandle graph, CudaGraphNode* nodes, size_t* count) {
  std::vector<RecordedCopy>& copies = reinterpret_cast<Recording*>(graph)->copies;
  for (size_t i = 0; nodes != nullptr && i < copies.size(); ++i) {
    nodes[i] = reinterpret_cast<CudaGraphNode>(&copies[i]);
  }
  *count = copies.size();
  return kCudaSuccess;
}
EXPORT CudaResult cuGraphNodeGetType(CudaGraphNode, int* type) {
  *type = kCudaMemcpyNode;
  return kCudaSuccess;
}
EXPORT CudaResult cuGraphMemcpyNodeGetParams(CudaGraphNode node, CudaCopy* copy) {
  const auto* recorded = reinterpret_cast<const RecordedCopy*>(node);
  const std::lock_guard lock(mutex);
  const auto memory = [&](CudaPointer address) {
    return Reach(address, recorded->size) != nullptr ? kCudaMemoryOfDevice : 1;
  };
  copy->from.memory = memory(recorded->from);
  copy->to.memory = memory(recorded->to);
  return kCudaSuccess;
}
EXPORT CudaResult cuGraphInstantiateWithFlags(CudaGraphExec* launchable, CudaGraphHandle graph,
                                              unsigned long long) {
  *launchable = reinterpret_cast<CudaGraphExec>(graph);
  return kCudaSuccess;
}
EXPORT CudaResult cuGraphLaunch(CudaGraphExec launchable, CudaStream stream) {
  for (const RecordedCopy& copy : reinterpret_cast<Recording*>(launchable)->copies) {
    cuMemcpyAsync(copy.to, copy.from, copy.size, stream);
  }
  return kCudaSuccess;
}
EXPORT CudaResult cuGraphExecDestroy(CudaGraphExec) { return kCudaSuccess; }
EXPORT CudaResult cuGraphDestroy(CudaGraphHandle graph) {
  delete reinterpret_cast<Recording*>(graph);
  return kCudaSuccess;
}

// For tests: what is held at present.
EXPORT size_t fakeCudaPinnedBytes() {
  const std::lock_guard lock(mutex);
  return PinnedBytes();
}
EXPORT size_t fakeCudaOpenHandles() {
  const std::lock_guard lock(mutex);
  size_t open = 0;
  for (const auto& [address, allocation] : allocations) open += allocation.imported ? 1 : 0;
  return open;
}

// ---- NVML ---------------------------------------------------------------------------------------

namespace {
std::atomic<unsigned> readings{0};
bool IsSlice(NvmlDevice device) {
  return reinterpret_cast<uintptr_t>(device) == static_cast<uintptr_t>(Devices());
}
}  // namespace

EXPORT NvmlResult nvmlInit_v2() { return kNvmlSuccess; }
EXPORT NvmlResult nvmlDeviceGetHandleByUUID(const char* uuid, NvmlDevice* device) {
  for (int ordinal = 0; ordinal < Devices(); ++ordinal) {
    if (uuid != UuidOf(ordinal)) continue;
    *device = reinterpret_cast<NvmlDevice>(static_cast<uintptr_t>(ordinal) + 1);
    return kNvmlSuccess;
  }
  constexpr NvmlResult kNotFound = 6;
  return kNotFound;
}
EXPORT NvmlResult nvmlDeviceGetUtilizationRates(NvmlDevice device, NvmlUtilization* out) {
  constexpr NvmlResult kNotSupported = 3;
  out->gpu = 40 + readings++;
  return IsSlice(device) ? kNotSupported : kNvmlSuccess;
}
EXPORT NvmlResult nvmlDeviceGetMemoryInfo(NvmlDevice, NvmlMemory* out) {
  *out = {kDeviceMemory, kDeviceMemory - 4096, 4096};
  return kNvmlSuccess;
}
EXPORT NvmlResult nvmlDeviceGetPowerUsage(NvmlDevice device, unsigned* milliwatts) {
  *milliwatts = 76'500;
  return IsSlice(device) ? 3 : kNvmlSuccess;
}
EXPORT NvmlResult nvmlDeviceGetEnforcedPowerLimit(NvmlDevice device, unsigned* milliwatts) {
  *milliwatts = 700'000;
  return IsSlice(device) ? 3 : kNvmlSuccess;
}
EXPORT NvmlResult nvmlDeviceGetTotalEnergyConsumption(NvmlDevice device,
                                                      unsigned long long* millijoules) {
  *millijoules = 5'000'000 + 1500 * readings;
  return IsSlice(device) ? 3 : kNvmlSuccess;
}
