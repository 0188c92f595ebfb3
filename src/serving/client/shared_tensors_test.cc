#include "serving/client/shared_tensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "serving/client/shared_slots.h"
#include "sim/simulated_shared_memory.h"

namespace tepal::client {
namespace {

InferCall Call(std::string_view data) {
  return {"m", {{"x", DataType::kInt8, {1}, Buffer::Copy(data)}}, {}};
}
InferAnswer Answer(std::string_view data) {
  return {"1", {{"y", DataType::kInt8, {1}, Buffer::Copy(data)}}};
}

// Answers at once, by writing what a server would.
class EchoTarget final : public LoadTarget {
 public:
  EchoTarget(sim::SimulatedSharedMemory& files, SharedTensors& tensors)
      : files_(files), tensors_(tensors) {}
  size_t requests() const override { return tensors_.calls() * tensors_.slots(); }
  void Send(size_t request, Done done) override {
    const InferCall call = tensors_.CallFor(request % tensors_.calls(), request / tensors_.calls());
    sent.push_back(request);
    const RegionPart& from = *call.inputs[0].shared;
    const RegionPart& to = *call.outputs[0].shared;
    auto& in = files_.objects["/t_in"];
    auto& out = files_.objects["/t_out"];
    ASSERT_LE(to.offset + to.size, out.size());
    if (writes) std::memcpy(&out[to.offset], &in[from.offset], to.size);
    if (hold) {
      held.push_back(std::move(done));
    } else {
      done(Buffer());
    }
  }

  bool writes = true, hold = false;
  std::vector<Done> held;
  std::vector<size_t> sent;

 private:
  sim::SimulatedSharedMemory& files_;
  SharedTensors& tensors_;
};

class SharedTensorsTest : public ::testing::Test {
 protected:
  SharedTensorsTest() {
    auto made = SharedTensors::New(files_, "t", {Call("abc"), Call("defgh")},
                                   {Answer("abc"), Answer("defgh")}, 2);
    EXPECT_TRUE(made.ok()) << made.status().message();
    tensors_ = std::move(made).value();
    auto echo = std::make_unique<EchoTarget>(files_, *tensors_);
    echo_ = echo.get();
    target_ = NewSharedMemoryTarget(std::move(echo), *tensors_, true);
  }
  Status SendOne(size_t request) {
    Status status = Internal("no answer");
    target_->Send(request, [&](Result<Buffer> answer) { status = answer.status(); });
    return status;
  }

  sim::SimulatedSharedMemory files_;
  std::unique_ptr<SharedTensors> tensors_;
  EchoTarget* echo_ = nullptr;
  std::unique_ptr<LoadTarget> target_;
};

TEST_F(SharedTensorsTest, RightAnswersPassAndWrongOnesDoNot) {
  EXPECT_EQ(target_->requests(), 2u);
  EXPECT_TRUE(SendOne(0).ok());
  EXPECT_TRUE(SendOne(1).ok());
  EXPECT_TRUE(SendOne(0).ok());
  echo_->writes = false;  // What lies there is right, but was not written for this request.
  EXPECT_NE(SendOne(0).message().find("output 'y'"), std::string::npos);
}

TEST_F(SharedTensorsTest, RequestsInFlightHaveSlotsOfTheirOwn) {
  echo_->hold = true;
  Status first, second, third;
  target_->Send(0, [&](Result<Buffer> answer) { first = answer.status(); });
  target_->Send(1, [&](Result<Buffer> answer) { second = answer.status(); });
  target_->Send(0, [&](Result<Buffer> answer) { third = answer.status(); });
  EXPECT_NE(third.message().find("no free slot"), std::string::npos);
  EXPECT_NE(echo_->sent[0] / 2, echo_->sent[1] / 2);
  echo_->held[1](Buffer());
  echo_->held[0](Buffer());
  EXPECT_TRUE(first.ok()) << first.message();
  EXPECT_TRUE(second.ok()) << second.message();
}

TEST_F(SharedTensorsTest, ObjectsGoWithIt) {
  EXPECT_EQ(files_.objects.size(), 2u);
  EXPECT_EQ(tensors_->regions()[0].key, "/t_in");
  target_.reset();
  tensors_.reset();
  EXPECT_TRUE(files_.objects.empty());
}

TEST(SharedSlots, PlacesAndFrees) {
  sim::SimulatedSharedMemory files;
  auto slots = SharedSlots::New(files, "s", 64, 2);
  ASSERT_TRUE(slots.ok());
  InferInput a{"x", DataType::kInt8, {3}, Buffer::Copy("abc")};
  InferInput b = a;
  const size_t slot = (*slots)->Place(a);
  (*slots)->Place(b);
  EXPECT_TRUE(a.data.empty());
  EXPECT_NE(a.shared->offset, b.shared->offset);
  EXPECT_EQ(std::memcmp(&files.objects["/s"][b.shared->offset], "abc", 3), 0);
  (*slots)->Free(slot);
  InferInput c{"x", DataType::kInt8, {1}, Buffer::Copy("c")};
  EXPECT_EQ((*slots)->Place(c), slot);
}

}  // namespace
}  // namespace tepal::client
