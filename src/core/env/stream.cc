#include "core/env/network.h"

namespace tepal::env {

IoResult Stream::ReadPieces(std::span<const std::span<std::byte>> pieces) {
  IoResult all;
  for (const std::span<std::byte> piece : pieces) {
    const IoResult one = Read(piece);
    // What ends a stream is said again to whoever reads on.
    if (one.outcome != IoResult::Outcome::kDone) return all.bytes > 0 ? all : one;
    all.outcome = IoResult::Outcome::kDone;
    all.bytes += one.bytes;
    if (one.bytes < piece.size()) break;
  }
  return all;
}

}  // namespace tepal::env
