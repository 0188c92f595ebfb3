#include "serving/frontend/grpc/grpc_shared_memory_calls.h"

#include <span>
#include <string>
#include <vector>

#include "core/base/text.h"
#include "serving/frontend/grpc/grpc_answer_message.h"
#include "serving/kserve/proto_reader.h"

namespace tepal {
namespace {

using kserve::ProtoReader;
using kserve::ProtoWriter;

// Requests of the form {name = 1}.
Result<std::string_view> ReadName(std::string_view request) {
  std::string_view name;
  ProtoReader reader(request);
  while (reader.Next()) {
    if (reader.field() == 1) {
      reader.Bytes(name);
    } else {
      reader.Skip();
    }
  }
  if (!reader.ok()) return UnparsableRequest();
  return name;
}

Status NotAllowed(std::string_view region) {
  return Unimplemented(Concat("shared memory region '", region,
                              "' is not registered: this server was started without "
                              "--allow-client-shm=true"));
}

Status Unknown(std::string_view kind, std::string_view region) {
  return NotFound(Concat("Unable to find ", kind, " shared memory region: '", region, "'"));
}

void WriteRegion(ProtoWriter& out, const SharedMemoryRegion& region) {
  AddMapEntry(out, 1, region.name, [&region](ProtoWriter& status) {
    status.Text(1, region.name);
    status.Text(2, region.key);
    if (region.offset != 0) status.Varint(3, region.offset);
    if (region.byte_size != 0) status.Varint(4, region.byte_size);
  });
}

void WriteRegion(ProtoWriter& out, const CudaMemoryRegion& region) {
  AddMapEntry(out, 1, region.name, [&region](ProtoWriter& status) {
    status.Text(1, region.name);
    if (region.device != 0) status.Int(2, region.device);
    if (region.byte_size != 0) status.Varint(3, region.byte_size);
  });
}

template <typename Region>
Buffer StatusAnswer(const std::vector<Region>& regions) {
  return AnswerMessage([&regions](ProtoWriter& out) {
    for (const Region& region : regions) WriteRegion(out, region);
  });
}

}  // namespace

Result<Buffer> SystemSharedMemoryStatus(const GrpcCallContext& context, std::string_view request) {
  ASSIGN_OR_RETURN(const std::string_view name, ReadName(request));
  SharedMemoryRegions* const regions = context.options.shared_memory;
  if (name.empty()) {
    return StatusAnswer(regions == nullptr ? std::vector<SharedMemoryRegion>() : regions->All());
  }
  if (regions == nullptr) return Unknown("system", name);
  ASSIGN_OR_RETURN(const SharedMemoryRegion region, regions->Find(name));
  return StatusAnswer<SharedMemoryRegion>({region});
}

Result<Buffer> CudaSharedMemoryStatus(const GrpcCallContext& context, std::string_view request) {
  ASSIGN_OR_RETURN(const std::string_view name, ReadName(request));
  SharedMemoryRegions* const regions = context.options.shared_memory;
  if (name.empty()) {
    return StatusAnswer(regions == nullptr ? std::vector<CudaMemoryRegion>() : regions->AllCuda());
  }
  if (regions == nullptr) return Unknown("cuda", name);
  ASSIGN_OR_RETURN(const CudaMemoryRegion region, regions->FindCuda(name));
  return StatusAnswer<CudaMemoryRegion>({region});
}

Result<Buffer> SystemSharedMemoryRegister(const GrpcCallContext& context,
                                          std::string_view request) {
  SharedMemoryRegion region;
  std::string_view name, key;
  ProtoReader reader(request);
  while (reader.Next()) {
    switch (reader.field()) {
      case 1:
        reader.Bytes(name);
        break;
      case 2:
        reader.Bytes(key);
        break;
      case 3:
        reader.Varint(region.offset);
        break;
      case 4:
        reader.Varint(region.byte_size);
        break;
      default:
        reader.Skip();
    }
  }
  if (!reader.ok()) return UnparsableRequest();
  if (context.options.shared_memory == nullptr) return NotAllowed(name);
  region.name = name;
  region.key = key;
  RETURN_IF_ERROR(context.options.shared_memory->Register(region));
  return Buffer();
}

Result<Buffer> CudaSharedMemoryRegister(const GrpcCallContext& context, std::string_view request) {
  constexpr size_t kHandleBytes = 64;  // Of a cudaIpcMemHandle_t.
  CudaMemoryRegion region;
  std::string_view name, handle;
  uint64_t device = 0;
  ProtoReader reader(request);
  while (reader.Next()) {
    switch (reader.field()) {
      case 1:
        reader.Bytes(name);
        break;
      case 2:
        reader.Bytes(handle);
        break;
      case 3:
        reader.Varint(device);
        break;
      case 4:
        reader.Varint(region.byte_size);
        break;
      default:
        reader.Skip();
    }
  }
  if (!reader.ok()) return UnparsableRequest();
  if (handle.size() != kHandleBytes) {
    return InvalidArgument("failed to register shared memory region: invalid args");
  }
  if (context.options.shared_memory == nullptr) return NotAllowed(name);
  region.name = name;
  region.device = static_cast<int64_t>(device);
  RETURN_IF_ERROR(
      context.options.shared_memory->RegisterCuda(region, std::as_bytes(std::span(handle))));
  return Buffer();
}

Result<Buffer> SystemSharedMemoryUnregister(const GrpcCallContext& context,
                                            std::string_view request) {
  ASSIGN_OR_RETURN(const std::string_view name, ReadName(request));
  if (SharedMemoryRegions* const regions = context.options.shared_memory; regions == nullptr) {
    return Buffer();
  } else if (name.empty()) {
    regions->UnregisterAll();
  } else {
    regions->Unregister(name);
  }
  return Buffer();
}

Result<Buffer> CudaSharedMemoryUnregister(const GrpcCallContext& context,
                                          std::string_view request) {
  ASSIGN_OR_RETURN(const std::string_view name, ReadName(request));
  if (SharedMemoryRegions* const regions = context.options.shared_memory; regions == nullptr) {
    return Buffer();
  } else if (name.empty()) {
    regions->UnregisterAllCuda();
  } else {
    regions->UnregisterCuda(name);
  }
  return Buffer();
}

}  // namespace tepal
