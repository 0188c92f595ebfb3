// Feeds two messages, split in the middle, to the mergers: what comes out merges again.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "serving/kserve_wire/replica_messages.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::vector<std::string_view> messages = {bytes.substr(0, size / 2),
                                                  bytes.substr(size / 2)};
  const std::string statistics = tepal::MergeStatisticsMessages(messages);
  (void)tepal::MergeStatisticsMessages({statistics, statistics});
  const std::string index = tepal::MergeIndexMessages(messages, tepal::AsksReadyOnly(bytes));
  (void)tepal::MergeIndexMessages({index}, false);
  return 0;
}
