// The tensors of a load's requests in POSIX shared memory: Triton's system shared memory extension.
//
// One region holds the inputs of every request. Another has room for the outputs of as many
// requests as are in flight at once, a slot for each, so that what a server writes for one is not
// overwritten by the next and can be checked. Telling the server of the regions is the caller's.
// Owned by one thread.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/env/shared_memory_files.h"
#include "serving/client/infer_call.h"
#include "serving/client/load_target.h"

namespace tepal::client {

class SharedTensors {
 public:
  // `answers` are those to `calls` without shared memory: they say how large outputs are and what
  // is right. Regions are named `name` with "_in" and "_out"; objects of those names must not
  // exist, and are removed with this.
  static Result<std::unique_ptr<SharedTensors>> New(env::SharedMemoryFiles& files,
                                                    const std::string& name,
                                                    std::vector<InferCall> calls,
                                                    std::vector<InferAnswer> answers, size_t slots);

  const std::vector<SharedRegion>& regions() const { return regions_; }
  size_t calls() const { return calls_.size(); }
  size_t slots() const { return slots_; }

  // The request `call` with its inputs in shared memory and its outputs wanted in `slot`.
  InferCall CallFor(size_t call, size_t slot) const;

  // Makes the outputs of `call` in `slot` wrong, so that an answer that was never written shows.
  void Spoil(size_t call, size_t slot);

  // kInternal names the output that is not as it was without shared memory.
  Status Check(size_t call, size_t slot) const;

 private:
  SharedTensors() = default;
  Status PlaceInputs(env::SharedMemoryFiles& files, const std::string& name);
  Status PlaceOutputs(env::SharedMemoryFiles& files, const std::string& name);
  Status Create(env::SharedMemoryFiles& files, const std::string& name, uint64_t size);

  std::vector<InferCall> calls_;
  std::vector<InferAnswer> answers_;
  size_t slots_ = 0;
  uint64_t slot_bytes_ = 0;
  std::vector<SharedRegion> regions_;
  std::vector<std::unique_ptr<env::SharedMapping>> mappings_;  // As regions_: inputs, outputs.
};

// Sends requests to `inner`, whose request `slot * calls + call` is CallFor(call, slot), and checks
// the outputs: of each slot's first answer, or of all of them. Both are kept; more requests at once
// than slots are errors "not sent".
std::unique_ptr<LoadTarget> NewSharedMemoryTarget(std::unique_ptr<LoadTarget> inner,
                                                  SharedTensors& tensors, bool check_all);

}  // namespace tepal::client
