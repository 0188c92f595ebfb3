// Writes lines to a file or to standard output from a thread of its own, for those who must not
// wait for a disk: an access log.
//
// What has not been written yet is bounded; a line that does not fit is dropped and counted. Lines
// are written whole, in the order they came, several with one write. Reopen opens the file again by
// its name, after it was renamed. Destroying it writes what there is. Thread-safe.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/base/result.h"

namespace tepal::runtime {

class LineWriter {
 public:
  static constexpr size_t kBytesMax = 8 << 20;  // Not written yet.

  // "stdout", or a file, which is appended to.
  static Result<std::unique_ptr<LineWriter>> New(const std::string& path,
                                                 size_t bytes_max = kBytesMax);
  virtual ~LineWriter() = default;

  // False: dropped.
  virtual bool Write(std::string line) = 0;
  // Soon, by the thread; when the file cannot be opened the old one stays, and the log says so.
  virtual void Reopen() = 0;

  virtual uint64_t dropped() const = 0;
};

}  // namespace tepal::runtime
