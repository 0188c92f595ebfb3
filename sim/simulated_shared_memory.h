// Shared memory objects of a simulated machine.

#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/env/shared_memory_files.h"

namespace tepal::sim {

// Tests make an object by putting its bytes into `objects`, and must not resize it while it is
// mapped. One made with Create goes when its mapping does.
class SimulatedSharedMemory final : public env::SharedMemoryFiles {
 public:
  Result<std::unique_ptr<env::SharedMapping>> Map(const std::string& key, uint64_t offset,
                                                  uint64_t size) override {
    const auto object = objects.find(key);
    if (object == objects.end()) return NotFound("there is no object " + key);
    const std::span<std::byte> bytes = object->second;
    if (size == 0 || offset > bytes.size() || size > bytes.size() - offset) {
      return Status(StatusCode::kOutOfRange, key + " ends before that");
    }
    return std::unique_ptr<env::SharedMapping>(
        std::make_unique<Mapping>(*this, std::string(), bytes.subspan(offset, size)));
  }

  Result<std::unique_ptr<env::SharedMapping>> Create(const std::string& key,
                                                     uint64_t size) override {
    const auto [object, added] = objects.try_emplace(key, size);
    if (!added) return AlreadyExists(key);
    return std::unique_ptr<env::SharedMapping>(
        std::make_unique<Mapping>(*this, key, std::span(object->second)));
  }

  std::map<std::string, std::vector<std::byte>> objects;
  int mapped = 0;  // Mappings that there are now.

 private:
  class Mapping final : public env::SharedMapping {
   public:
    Mapping(SimulatedSharedMemory& memory, std::string made, std::span<std::byte> bytes)
        : memory_(memory), made_(std::move(made)), bytes_(bytes) {
      ++memory_.mapped;
    }
    ~Mapping() override {
      --memory_.mapped;
      if (!made_.empty()) memory_.objects.erase(made_);
    }
    std::span<std::byte> bytes() override { return bytes_; }

   private:
    SimulatedSharedMemory& memory_;
    const std::string made_;  // The object that goes with this, if one does.
    std::span<std::byte> bytes_;
  };
};

}  // namespace tepal::sim
