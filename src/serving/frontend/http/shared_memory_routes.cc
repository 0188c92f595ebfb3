#include "serving/frontend/http/shared_memory_routes.h"

#include <algorithm>
#include <vector>

#include "core/base/text.h"
#include "core/json/writer.h"
#include "serving/frontend/http/body_json.h"

namespace tepal {
namespace {

constexpr size_t kCudaHandleText = 88;  // 64 bytes of a cudaIpcMemHandle_t in base64.

Result<const json::Value*> Member(const json::Value& body, std::string_view name) {
  if (const json::Value* value = body.Find(name); value != nullptr) return value;
  return InvalidArgument(Concat("Shared memory register request has no '", name, "' field"));
}

Result<uint64_t> Unsigned(const json::Value& value) {
  if (const uint64_t* large = value.AsUint(); large != nullptr) return *large;
  const int64_t* number = value.AsInt();
  if (number == nullptr || *number < 0) {
    return InvalidArgument("attempt to access JSON non-unsigned-integer as unsigned-integer");
  }
  return static_cast<uint64_t>(*number);
}

Status RegisterSystem(SharedMemoryRegions& regions, const std::string& name,
                      std::string_view body) {
  ASSIGN_OR_RETURN(const json::Value parsed, ParseBodyJson(body));
  SharedMemoryRegion region;
  region.name = name;
  ASSIGN_OR_RETURN(const json::Value* key, Member(parsed, "key"));
  if (key->AsString() == nullptr) {
    return InvalidArgument("attempt to access JSON non-string as string");
  }
  region.key = *key->AsString();
  if (const json::Value* offset = parsed.Find("offset"); offset != nullptr) {
    ASSIGN_OR_RETURN(region.offset, Unsigned(*offset));
  }
  ASSIGN_OR_RETURN(const json::Value* size, Member(parsed, "byte_size"));
  ASSIGN_OR_RETURN(region.byte_size, Unsigned(*size));
  return regions.Register(region);
}

Status NotAllowed(std::string_view region) {
  return Unimplemented(Concat("shared memory region '", region,
                              "' is not registered: this server was started without "
                              "--allow-client-shm=true"));
}

bool IsCudaHandle(const json::Value* text) {
  if (text == nullptr || text->AsString() == nullptr) return false;
  const std::string_view handle = *text->AsString();
  if (handle.size() != kCudaHandleText || !handle.ends_with("==")) return false;
  return std::all_of(handle.begin(), handle.end() - 2, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
  });
}

// Only for text that IsCudaHandle.
std::vector<std::byte> DecodeCudaHandle(std::string_view text) {
  std::vector<std::byte> bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text.substr(0, text.find('='))) {
    const int value = c >= 'a'   ? c - 'a' + 26
                      : c >= 'A' ? c - 'A'
                      : c == '+' ? 62
                      : c == '/' ? 63
                                 : c - '0' + 52;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<std::byte>(bits >> count & 0xff));
  }
  return bytes;
}

Status RegisterCuda(SharedMemoryRegions* regions, const std::string& name, std::string_view body) {
  ASSIGN_OR_RETURN(const json::Value parsed, ParseBodyJson(body));
  ASSIGN_OR_RETURN(const json::Value* handle, Member(parsed, "raw_handle"));
  const json::Value* text = handle->Find("b64");
  if (!IsCudaHandle(text)) {
    return InvalidArgument("'raw_handle' must be a valid base64 encoded cudaIpcMemHandle_t");
  }
  CudaMemoryRegion region;
  region.name = name;
  ASSIGN_OR_RETURN(const json::Value* size, Member(parsed, "byte_size"));
  ASSIGN_OR_RETURN(region.byte_size, Unsigned(*size));
  ASSIGN_OR_RETURN(const json::Value* device, Member(parsed, "device_id"));
  ASSIGN_OR_RETURN(const uint64_t device_id, Unsigned(*device));
  region.device = static_cast<int64_t>(device_id);
  if (regions == nullptr) return NotAllowed(name);
  return regions->RegisterCuda(region, DecodeCudaHandle(*text->AsString()));
}

std::string StatusJson(const std::vector<CudaMemoryRegion>& regions) {
  json::Writer writer;
  writer.BeginArray();
  for (const CudaMemoryRegion& region : regions) {
    writer.BeginObject().Key("name").String(region.name);
    writer.Key("device_id").Int(region.device).Key("byte_size").Uint(region.byte_size).EndObject();
  }
  writer.EndArray();
  return writer.Take();
}

std::string StatusJson(const std::vector<SharedMemoryRegion>& regions) {
  json::Writer writer;
  writer.BeginArray();
  for (const SharedMemoryRegion& region : regions) {
    writer.BeginObject().Key("name").String(region.name).Key("key").String(region.key);
    writer.Key("offset").Uint(region.offset).Key("byte_size").Uint(region.byte_size).EndObject();
  }
  writer.EndArray();
  return writer.Take();
}

Result<std::string> AnswerStatus(SharedMemoryRegions* regions, const Route& route) {
  if (regions == nullptr) {
    if (route.region.empty()) return std::string("[]");
    return NotFound(Concat("Unable to find ", route.cuda ? "cuda" : "system",
                           " shared memory region: '", route.region, "'"));
  }
  if (route.region.empty()) {
    return route.cuda ? StatusJson(regions->AllCuda()) : StatusJson(regions->All());
  }
  if (route.cuda) {
    ASSIGN_OR_RETURN(const CudaMemoryRegion region, regions->FindCuda(route.region));
    return StatusJson(std::vector{region});
  }
  ASSIGN_OR_RETURN(const SharedMemoryRegion region, regions->Find(route.region));
  return StatusJson(std::vector{region});
}

void Unregister(SharedMemoryRegions& regions, const Route& route) {
  if (route.region.empty()) {
    route.cuda ? regions.UnregisterAllCuda() : regions.UnregisterAll();
  } else {
    route.cuda ? regions.UnregisterCuda(route.region) : regions.Unregister(route.region);
  }
}

Status Register(SharedMemoryRegions* regions, const Route& route, std::string_view body) {
  if (route.region.empty()) {
    return InvalidArgument(Concat("'region name' is necessary to register ",
                                  route.cuda ? "cuda" : "system", " shared memory region"));
  }
  if (route.cuda) return RegisterCuda(regions, route.region, body);
  if (regions == nullptr) return NotAllowed(route.region);
  return RegisterSystem(*regions, route.region, body);
}

}  // namespace

Result<std::string> AnswerSharedMemory(SharedMemoryRegions* regions, const Route& route,
                                       std::string_view body) {
  if (route.kind == Route::Kind::kSharedMemoryStatus) return AnswerStatus(regions, route);
  if (route.kind == Route::Kind::kSharedMemoryRegister) {
    RETURN_IF_ERROR(Register(regions, route, body));
  } else if (regions != nullptr) {
    Unregister(*regions, route);
  }
  return std::string();
}

}  // namespace tepal
