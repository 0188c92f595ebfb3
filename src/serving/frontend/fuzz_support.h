// A door over fakes for fuzzers: a core that checks requests as the real one does, shared memory in
// which "/region" has 64 bytes, and the sending of a body in pieces.

#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/env/shared_memory_files.h"
#include "serving/frontend/frontend_fakes.h"
#include "serving/server_core/request_check.h"
#include "serving/shared_memory/shared_memory_regions.h"

namespace tepal {

class CheckingCore final : public FakeCore {
 public:
  CheckingCore() { echo->config_.inputs.front().dims = {-1}; }
  Status Infer(std::unique_ptr<InferenceRequest>&& request) override {
    RETURN_IF_ERROR(CheckRequest(echo->config_, *request));
    return FakeCore::Infer(std::move(request));
  }
};

class OneSharedObject final : public env::SharedMemoryFiles {
 public:
  Result<std::unique_ptr<env::SharedMapping>> Map(const std::string& key, uint64_t offset,
                                                  uint64_t size) override {
    if (key != "/region") return NotFound("there is no object " + key);
    if (size == 0 || offset > bytes_.size() || size > bytes_.size() - offset) {
      return Status(StatusCode::kOutOfRange, key + " ends before that");
    }
    return std::unique_ptr<env::SharedMapping>(std::make_unique<Mapping>(
        std::span(bytes_).subspan(static_cast<size_t>(offset), static_cast<size_t>(size))));
  }

 private:
  class Mapping final : public env::SharedMapping {
   public:
    explicit Mapping(std::span<std::byte> bytes) : bytes_(bytes) {}
    std::span<std::byte> bytes() override { return bytes_; }

   private:
    const std::span<std::byte> bytes_;
  };
  std::vector<std::byte> bytes_ = std::vector<std::byte>(64);
};

// False: the receiver takes no more.
inline bool SendBody(http::RequestReceiver& receiver, const FakeSender& sender,
                     std::string_view body, size_t piece) {
  while (!body.empty() && !sender.done()) {
    const std::span<std::byte> room = receiver.BodyRoom(body.size());
    if (room.empty()) return false;
    const size_t step = std::min({room.size(), body.size(), piece});
    std::memcpy(room.data(), body.data(), step);
    receiver.OnBody(step);
    body.remove_prefix(step);
  }
  return true;
}

}  // namespace tepal
