#include <array>
#include <mutex>

#include "core/base/text.h"
#include "core/gpu/cuda_api.h"
#include "core/gpu/gpus.h"
#include "core/telemetry/log.h"

namespace tepal::gpu {
namespace {

std::string UuidText(const CudaUuid& uuid) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < sizeof(uuid.bytes); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kDigits[uuid.bytes[i] >> 4];
    text += kDigits[uuid.bytes[i] & 15];
  }
  return text;
}

CudaPointer PointerOf(const std::byte* address) { return reinterpret_cast<CudaPointer>(address); }

// One device and, once needed, its primary context, which is never given back: backends have it
// too.
class CudaDeviceMemory final : public DeviceMemory {
 public:
  CudaDeviceMemory(const CudaApi& api, int32_t ordinal) : api_(api), ordinal_(ordinal) {}

  int64_t device() const override { return ordinal_; }

  Status CopyToHost(const std::byte* from, std::byte* to, size_t size) override {
    return Within("copying from", [&] { return api_.MemcpyDtoH(to, PointerOf(from), size); });
  }
  Status CopyFromHost(const std::byte* from, std::byte* to, size_t size) override {
    return Within("copying to", [&] { return api_.MemcpyHtoD(PointerOf(to), from, size); });
  }

  // Calls the driver with this device's context current.
  template <typename Call>
  Status Within(std::string_view doing, Call call) {
    CudaResult result = Retain();
    if (result == kCudaSuccess) {
      const CudaContextScope scope(api_, context_);
      result = scope.result();
      if (result == kCudaSuccess) result = call();
    }
    if (result == kCudaSuccess) return {};
    const std::string what = Concat(doing, " GPU ", ordinal_, ": ", api_.Text(result));
    return result == kCudaOutOfMemory ? Unavailable(what) : Internal(what);
  }

 private:
  CudaResult Retain() {
    std::call_once(retained_, [this] {
      CudaDevice device = 0;
      retain_result_ = api_.DeviceGet(&device, ordinal_);
      if (retain_result_ == kCudaSuccess) {
        retain_result_ = api_.PrimaryContextRetain(&context_, device);
      }
    });
    return retain_result_;
  }

  const CudaApi& api_;
  const int32_t ordinal_;
  std::once_flag retained_;
  CudaResult retain_result_ = kCudaSuccess;
  CudaContext context_ = nullptr;
};

class CudaPinnedRange final : public PinnedRange {
 public:
  CudaPinnedRange(CudaDeviceMemory& memory, const CudaApi& api, void* start)
      : memory_(memory), api_(api), start_(start) {}
  ~CudaPinnedRange() override {
    const Status gone =
        memory_.Within("unpinning memory for", [&] { return api_.MemHostUnregister(start_); });
    if (!gone.ok()) telemetry::LogError(gone.message());
  }

 private:
  CudaDeviceMemory& memory_;
  const CudaApi& api_;
  void* const start_;
};

class CudaGpus final : public Gpus {
 public:
  explicit CudaGpus(const char* library) : library_(library) {}

  const std::vector<GpuDevice>& devices() override {
    Start();
    return devices_;
  }
  const std::string& why_none() override {
    Start();
    return why_none_;
  }

  Result<Buffer> Import(int64_t device, std::span<const std::byte> handle, uint64_t size) override {
    RETURN_IF_ERROR(CheckDevice(device));
    if (handle.size() != kIpcHandleSize) {
      return InvalidArgument(
          Concat("a CUDA IPC handle has ", kIpcHandleSize, " bytes, got ", handle.size()));
    }
    CudaIpcHandle raw;
    std::memcpy(raw.bytes, handle.data(), sizeof(raw.bytes));
    CudaDeviceMemory& memory = *memories_[static_cast<size_t>(device)];
    CudaPointer address = 0;
    const Status opened = memory.Within("opening a CUDA IPC handle of", [&] {
      return api_->IpcOpenMemHandle(&address, raw, kCudaIpcLazyEnablePeerAccess);
    });
    if (!opened.ok()) return InvalidArgument(opened.message());
    Buffer bytes = Buffer::Adopt(reinterpret_cast<std::byte*>(address), size,
                                 [this, &memory](std::byte* data) {
                                   const Status closed = memory.Within(
                                       "closing a CUDA IPC handle of",
                                       [&] { return api_->IpcCloseMemHandle(PointerOf(data)); });
                                   if (!closed.ok()) telemetry::LogError(closed.message());
                                 },
                                 {MemoryKind::kGpu, &memory});
    size_t there = 0;
    RETURN_IF_ERROR(memory.Within("measuring an allocation of", [&] {
      return api_->MemGetAddressRange(nullptr, &there, address);
    }));
    if (size > there) {
      return InvalidArgument(Concat("the allocation on GPU ", device, " has ", there,
                                    " bytes, expected at least ", size));
    }
    return bytes;
  }

  Result<std::unique_ptr<PinnedRange>> Pin(std::span<std::byte> bytes) override {
    RETURN_IF_ERROR(CheckAny());
    CudaDeviceMemory& memory = *memories_.front();
    RETURN_IF_ERROR(memory.Within("pinning memory for", [&] {
      return api_->MemHostRegister(bytes.data(), bytes.size(), kCudaHostPortable);
    }));
    return std::unique_ptr<PinnedRange>(
        std::make_unique<CudaPinnedRange>(memory, *api_, bytes.data()));
  }

  Result<Buffer> AllocatePinned(size_t size) override {
    RETURN_IF_ERROR(CheckAny());
    CudaDeviceMemory& memory = *memories_.front();
    void* start = nullptr;
    RETURN_IF_ERROR(memory.Within("allocating pinned memory for", [&] {
      return api_->MemHostAlloc(&start, size, kCudaHostPortable);
    }));
    return Buffer::Adopt(static_cast<std::byte*>(start), size,
                         [this, &memory](std::byte* data) {
                           const Status freed = memory.Within(
                               "freeing pinned memory of", [&] { return api_->MemFreeHost(data); });
                           if (!freed.ok()) telemetry::LogError(freed.message());
                         },
                         {MemoryKind::kCpuPinned, nullptr});
  }

 private:
  void Start() {
    std::call_once(started_, [this] {
      const Status status = Find();
      if (status.ok()) return;
      devices_.clear();
      memories_.clear();
      why_none_ = status.message();
    });
  }

  Status Find() {
    std::string problem;
    api_ = CudaApi::Load(library_, problem);
    if (api_ == nullptr) return Unavailable(problem);
    const auto check = [&](CudaResult result, std::string_view call) -> Status {
      if (result == kCudaSuccess) return {};
      return Unavailable(Concat(library_, ": ", call, " answers ", api_->Text(result)));
    };
    int count = 0;
    Status started = check(api_->Init(0), "cuInit");
    if (started.ok()) started = check(api_->DeviceGetCount(&count), "cuDeviceGetCount");
    if (started.ok() && count == 0) started = Unavailable(Concat(library_, " offers no device"));
    if (!started.ok()) {
      telemetry::LogWarning(Concat("no GPU can be used: ", started.message()));
      return started;
    }
    for (int ordinal = 0; ordinal < count; ++ordinal) {
      CudaDevice device = 0;
      CudaUuid uuid{};
      std::array<char, 128> name{};
      size_t memory = 0;
      RETURN_IF_ERROR(check(api_->DeviceGet(&device, ordinal), "cuDeviceGet"));
      RETURN_IF_ERROR(check(api_->DeviceGetUuid(&uuid, device), "cuDeviceGetUuid"));
      RETURN_IF_ERROR(
          check(api_->DeviceGetName(name.data(), static_cast<int>(name.size() - 1), device),
                "cuDeviceGetName"));
      RETURN_IF_ERROR(check(api_->DeviceTotalMem(&memory, device), "cuDeviceTotalMem"));
      devices_.push_back({ordinal, UuidText(uuid), name.data(), memory});
      memories_.push_back(std::make_unique<CudaDeviceMemory>(*api_, ordinal));
    }
    return {};
  }

  Status CheckAny() {
    Start();
    if (!devices_.empty()) return {};
    return Unavailable(Concat("no GPU can be used: ", why_none_));
  }

  Status CheckDevice(int64_t device) {
    RETURN_IF_ERROR(CheckAny());
    if (device >= 0 && device < static_cast<int64_t>(devices_.size())) return {};
    return InvalidArgument(
        Concat("there is no GPU ", device, ", the GPUs are 0 to ", devices_.size() - 1));
  }

  const char* const library_;
  std::once_flag started_;
  std::unique_ptr<CudaApi> api_;
  std::vector<GpuDevice> devices_;
  std::vector<std::unique_ptr<CudaDeviceMemory>> memories_;  // By ordinal.
  std::string why_none_;
};

}  // namespace

std::unique_ptr<Gpus> NewCudaGpus(const char* library) {
  return std::make_unique<CudaGpus>(library);
}

}  // namespace tepal::gpu
