#include "serving/client/shared_tensors.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/text.h"

namespace tepal::client {
namespace {

constexpr uint64_t kAlignment = 64;

uint64_t Aligned(uint64_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

class SharedMemoryTarget final : public LoadTarget {
 public:
  SharedMemoryTarget(std::unique_ptr<LoadTarget> inner, SharedTensors& tensors, bool check_all)
      : inner_(std::move(inner)),
        tensors_(tensors),
        check_all_(check_all),
        checked_(tensors.slots(), false) {
    for (size_t slot = tensors.slots(); slot > 0; --slot) free_.push_back(slot - 1);
  }

  size_t requests() const override { return tensors_.calls(); }

  void Send(size_t request, Done done) override {
    if (free_.empty()) {
      return done(ResourceExhausted("not sent: no free slot of shared memory for its outputs"));
    }
    const size_t slot = free_.back();
    free_.pop_back();
    const bool check = check_all_ || !checked_[slot];
    checked_[slot] = true;
    if (check) tensors_.Spoil(request, slot);
    inner_->Send(
        slot * tensors_.calls() + request,
        [this, slot, request, check, done = std::move(done)](Result<Buffer> answer) mutable {
          const Status right = check && answer.ok() ? tensors_.Check(request, slot) : Status();
          free_.push_back(slot);
          done(right.ok() ? std::move(answer) : Result<Buffer>(right));
        });
  }

 private:
  const std::unique_ptr<LoadTarget> inner_;
  SharedTensors& tensors_;
  const bool check_all_;
  std::vector<bool> checked_;
  std::vector<size_t> free_;
};

}  // namespace

Result<std::unique_ptr<SharedTensors>> SharedTensors::New(env::SharedMemoryFiles& files,
                                                          const std::string& name,
                                                          std::vector<InferCall> calls,
                                                          std::vector<InferAnswer> answers,
                                                          size_t slots) {
  TEPAL_CHECK(calls.size() == answers.size());
  std::unique_ptr<SharedTensors> tensors(new SharedTensors);
  tensors->calls_ = std::move(calls);
  tensors->answers_ = std::move(answers);
  tensors->slots_ = slots;
  RETURN_IF_ERROR(tensors->PlaceInputs(files, name + "_in"));
  RETURN_IF_ERROR(tensors->PlaceOutputs(files, name + "_out"));
  return tensors;
}

Status SharedTensors::Create(env::SharedMemoryFiles& files, const std::string& name,
                             uint64_t size) {
  const SharedRegion region{name, "/" + name, 0, std::max<uint64_t>(size, kAlignment)};
  ASSIGN_OR_RETURN(auto mapping, files.Create(region.key, region.size));
  regions_.push_back(region);
  mappings_.push_back(std::move(mapping));
  return {};
}

Status SharedTensors::PlaceInputs(env::SharedMemoryFiles& files, const std::string& name) {
  uint64_t size = 0;
  for (InferCall& call : calls_) {
    for (InferInput& input : call.inputs) {
      input.shared = RegionPart{name, size, input.data.size()};
      size += Aligned(input.data.size());
    }
  }
  RETURN_IF_ERROR(Create(files, name, size));
  std::byte* const start = mappings_.back()->bytes().data();
  for (const InferCall& call : calls_) {
    for (const InferInput& input : call.inputs) {
      if (input.data.empty()) continue;
      std::memcpy(start + input.shared->offset, input.data.data(), input.data.size());
    }
  }
  return {};
}

Status SharedTensors::PlaceOutputs(env::SharedMemoryFiles& files, const std::string& name) {
  for (size_t i = 0; i < calls_.size(); ++i) {
    calls_[i].outputs.clear();
    uint64_t offset = 0;
    for (const InferOutput& output : answers_[i].outputs) {
      calls_[i].outputs.push_back({output.name, 0, RegionPart{name, offset, output.data.size()}});
      offset += Aligned(output.data.size());
    }
    slot_bytes_ = std::max(slot_bytes_, offset);
  }
  return Create(files, name, slot_bytes_ * slots_);
}

InferCall SharedTensors::CallFor(size_t call, size_t slot) const {
  InferCall made = calls_[call];
  for (RequestedOutput& output : made.outputs) output.shared->offset += slot * slot_bytes_;
  return made;
}

void SharedTensors::Spoil(size_t call, size_t slot) {
  std::byte* const start = mappings_.back()->bytes().data() + slot * slot_bytes_;
  for (size_t i = 0; i < answers_[call].outputs.size(); ++i) {
    const Buffer& right = answers_[call].outputs[i].data;
    if (!right.empty()) start[calls_[call].outputs[i].shared->offset] = ~right.data()[0];
  }
}

Status SharedTensors::Check(size_t call, size_t slot) const {
  const std::byte* const start = mappings_.back()->bytes().data() + slot * slot_bytes_;
  for (size_t i = 0; i < answers_[call].outputs.size(); ++i) {
    const InferOutput& right = answers_[call].outputs[i];
    if (right.data.empty()) continue;
    const std::byte* const got = start + calls_[call].outputs[i].shared->offset;
    if (std::memcmp(got, right.data.data(), right.data.size()) != 0) {
      return Internal(Concat("wrong answer: output '", right.name,
                             "' in shared memory is not what the model answers without"));
    }
  }
  return {};
}

std::unique_ptr<LoadTarget> NewSharedMemoryTarget(std::unique_ptr<LoadTarget> inner,
                                                  SharedTensors& tensors, bool check_all) {
  TEPAL_CHECK(inner->requests() == tensors.calls() * tensors.slots());
  return std::make_unique<SharedMemoryTarget>(std::move(inner), tensors, check_all);
}

}  // namespace tepal::client
