#include "serving/repository/fingerprint.h"

#include <string_view>

#include "core/base/text.h"

namespace tepal {
namespace {

// FNV-1a, 64 bits.
constexpr uint64_t kOffsetBasis = 0xcbf29ce484222325;
constexpr uint64_t kPrime = 0x100000001b3;

class Walk {
 public:
  explicit Walk(env::FileSystem& files) : files_(files) {}

  Status Directory(const std::string& directory, int depth) {
    ASSIGN_OR_RETURN(const auto entries, files_.List(directory));
    for (const auto& entry : entries) {
      if (++entries_ > kFingerprintEntriesMax) return {};
      Add(entry.name);
      const std::string path = Concat(directory, "/", entry.name);
      if (!entry.is_directory) {
        ASSIGN_OR_RETURN(const auto facts, files_.Stat(path));
        Add(facts.size);
        Add(static_cast<uint64_t>(facts.modified.time_since_epoch().count()));
      } else if (depth < kFingerprintDepthMax) {
        RETURN_IF_ERROR(Directory(path, depth + 1));
      }
    }
    Add(entries.size());  // So that a file moved up or down a level shows.
    return {};
  }

  uint64_t value() const { return value_; }

 private:
  void AddByte(uint8_t byte) { value_ = (value_ ^ byte) * kPrime; }
  void Add(std::string_view text) {
    for (const char c : text) AddByte(static_cast<uint8_t>(c));
    AddByte(0);
  }
  void Add(uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8) AddByte(static_cast<uint8_t>(number >> shift));
  }

  env::FileSystem& files_;
  int entries_ = 0;
  uint64_t value_ = kOffsetBasis;
};

}  // namespace

Result<uint64_t> Fingerprint(env::FileSystem& files, const std::string& directory) {
  Walk walk(files);
  RETURN_IF_ERROR(walk.Directory(directory, 0));
  return walk.value();
}

}  // namespace tepal
