#include "apps/commands/bench_load.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/base/text.h"
#include "serving/client/grpc_codec.h"
#include "serving/client/photo_input.h"
#include "serving/client/tensor_input.h"

namespace tepal::commands {
namespace {

constexpr Duration kLimitsTimeMax = 10s;
constexpr uint64_t kInputFileBytesMax = uint64_t{1} << 30;
// Shared memory: requests in flight of an open loop, and encoded requests (calls times slots).
constexpr size_t kOpenLoopSlots = 256;
constexpr size_t kSharedRequestsMax = 65'536;

Result<std::vector<client::InferCall>> PhotoCalls(const BenchFlags& flags,
                                                  const client::ModelDeclaration& model) {
  if (model.inputs.size() != 1) {
    return InvalidArgument(
        Concat("model '", model.name, "' has ", model.inputs.size(), " inputs; --photo fills one"));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> paths, FindPhotos(flags.photos));
  ASSIGN_OR_RETURN(
      const image::Preprocessing how,
      client::PreprocessingFor(model.inputs.front(), static_cast<float>(flags.subtract),
                               static_cast<float>(flags.divide)));
  std::vector<client::InferCall> calls;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(const Photo photo, ReadPhoto(path));
    calls.push_back(
        {flags.model, {client::PhotoInput(model.inputs.front(), photo.image, how)}, {}});
  }
  return calls;
}

Result<client::InferInput> MakeInput(const BenchFlags& flags,
                                     const client::TensorDeclaration& input, const Shape& shape,
                                     env::Random& random) {
  if (flags.input_data == "zero") return client::ZeroInput(input, shape);
  if (flags.input_data == "random") return client::RandomInput(input, shape, random);
  const std::string path = Concat(flags.input_data, "/", input.name);
  ASSIGN_OR_RETURN(const std::string bytes,
                   runtime::SystemFileSystem().Read(path, kInputFileBytesMax));
  return client::BytesInput(input, shape, bytes).WithContext(path);
}

// The shape to send, with the batch's size where the model batches.
Result<Shape> ShapeOf(const BenchFlags& flags, const client::TensorDeclaration& input,
                      bool batches) {
  ASSIGN_OR_RETURN(const Shape wished, ShapeFor(flags, input.name));
  ASSIGN_OR_RETURN(Shape shape, client::ShapeToSend(input, wished));
  if (batches && wished.empty() && !shape.empty()) shape.front() = flags.batch_size;
  return shape;
}

// Whether --batch-size can be kept; a model is asked only when it is given.
Result<bool> Batches(ClientConnection& connection, const BenchFlags& flags) {
  if (flags.batch_size == 1) return false;
  using Limits = Result<client::ModelLimits>;
  ASSIGN_OR_RETURN(const client::ModelLimits limits,
                   connection.Await<Limits>([&](Function<void(Limits)> done) {
                     connection.v2().Limits(flags.model, kLimitsTimeMax, std::move(done));
                   }));
  if (flags.batch_size > limits.max_batch_size) {
    return InvalidArgument(Concat("--batch-size: got ", flags.batch_size, "; model '", flags.model,
                                  "' has max_batch_size ", limits.max_batch_size));
  }
  return true;
}

Result<std::unique_ptr<client::LoadTarget>> HttpTarget(ClientConnection& connection,
                                                       const BenchFlags& flags,
                                                       const std::vector<client::InferCall>& calls,
                                                       BenchLoad& load) {
  const auto form =
      flags.tensors == "json" ? client::TensorForm::kJson : client::TensorForm::kBinary;
  std::vector<client::EncodedRequest> requests;
  for (const client::InferCall& call : calls) {
    ASSIGN_OR_RETURN(client::EncodedRequest request, client::EncodeInfer(call, form));
    requests.push_back(std::move(request));
  }
  load.connections.push_back(connection.NewHttpClient());
  return client::NewHttpTarget(*load.connections.front(), connection.server(), std::move(requests),
                               flags.connection.timeout);
}

std::unique_ptr<client::LoadTarget> GrpcTarget(ClientConnection& connection,
                                               const BenchFlags& flags,
                                               const std::vector<client::InferCall>& calls,
                                               BenchLoad& load) {
  std::vector<BufferList> messages;
  for (const client::InferCall& call : calls) messages.push_back(client::EncodeGrpcInfer(call));
  client::GrpcTargetOptions options;
  for (int i = 0; i < flags.connections; ++i) {
    load.connections.push_back(connection.NewHttpClient());
    options.connections.push_back(load.connections.back().get());
  }
  options.streams = flags.connection.streaming ? flags.streams : 0;
  options.time_max = flags.connection.timeout;
  return client::NewGrpcTarget(connection.loop(), connection.server(), std::move(messages),
                               std::move(options));
}

Result<std::unique_ptr<client::LoadTarget>> ProtocolTarget(
    ClientConnection& connection, const BenchFlags& flags,
    const std::vector<client::InferCall>& calls, BenchLoad& load) {
  if (flags.connection.grpc()) return GrpcTarget(connection, flags, calls, load);
  return HttpTarget(connection, flags, calls, load);
}

// As many as can be in flight at once.
size_t SlotsFor(const std::vector<client::LoadPhase>& phases) {
  size_t clients = 0, open_loop = 0;
  for (const client::LoadPhase& phase : phases) {
    clients = std::max(clients, static_cast<size_t>(phase.concurrency));
    if (phase.rate_per_s > 0) open_loop = kOpenLoopSlots;
  }
  return clients + open_loop;
}

// Asks each once without shared memory, for the outputs' sizes and what is right.
Result<std::unique_ptr<client::SharedTensors>> ShareTensors(ClientConnection& connection,
                                                            const BenchFlags& flags, size_t slots,
                                                            std::vector<client::InferCall> calls) {
  if (calls.size() * slots > kSharedRequestsMax) {
    return InvalidArgument(Concat("--shared-memory: ", calls.size(), " requests for ", slots,
                                  " clients; expected at most ", kSharedRequestsMax,
                                  " when multiplied"));
  }
  std::vector<client::InferAnswer> answers;
  for (const client::InferCall& call : calls) {
    using Answer = Result<client::InferAnswer>;
    ASSIGN_OR_RETURN(client::InferAnswer answer,
                     connection.Await<Answer>([&](Function<void(Answer)> done) {
                       connection.v2().Infer(call, flags.connection.timeout, std::move(done));
                     }));
    answers.push_back(std::move(answer));
  }
  ASSIGN_OR_RETURN(auto shared, client::SharedTensors::New(
                                    runtime::SystemSharedMemory(), Concat("tepal_bench_", getpid()),
                                    std::move(calls), std::move(answers), slots));
  RETURN_IF_ERROR(Register(connection, shared->regions()));
  return shared;
}

}  // namespace

Result<std::vector<client::InferCall>> MakeCalls(ClientConnection& connection,
                                                 const BenchFlags& flags,
                                                 const client::ModelDeclaration& model) {
  if (!flags.photos.empty()) return PhotoCalls(flags, model);
  ASSIGN_OR_RETURN(const bool batches, Batches(connection, flags));
  env::SeededRandom random(flags.seed);
  client::InferCall call{flags.model, {}, {}};
  for (const client::TensorDeclaration& input : model.inputs) {
    ASSIGN_OR_RETURN(const Shape shape, ShapeOf(flags, input, batches));
    ASSIGN_OR_RETURN(client::InferInput tensor, MakeInput(flags, input, shape, random));
    call.inputs.push_back(std::move(tensor));
  }
  return std::vector<client::InferCall>{std::move(call)};
}

Result<BenchLoad> MakeLoad(ClientConnection& connection, const BenchFlags& flags,
                           const std::vector<client::LoadPhase>& phases,
                           std::vector<client::InferCall> calls) {
  BenchLoad load;
  if (!flags.connection.in_shared_memory()) {
    ASSIGN_OR_RETURN(load.target, ProtocolTarget(connection, flags, calls, load));
    if (flags.verify) {
      load.target = client::NewVerifyingTarget(
          std::move(load.target),
          flags.connection.grpc() ? client::CompareGrpcOutputs : client::CompareBytes);
    }
    return load;
  }
  const size_t slots = std::max<size_t>(SlotsFor(phases), 1);
  ASSIGN_OR_RETURN(load.shared, ShareTensors(connection, flags, slots, std::move(calls)));
  std::vector<client::InferCall> shared_calls;
  for (size_t slot = 0; slot < slots; ++slot) {
    for (size_t call = 0; call < load.shared->calls(); ++call) {
      shared_calls.push_back(load.shared->CallFor(call, slot));
    }
  }
  ASSIGN_OR_RETURN(auto target, ProtocolTarget(connection, flags, shared_calls, load));
  load.target = client::NewSharedMemoryTarget(std::move(target), *load.shared, flags.verify);
  return load;
}

}  // namespace tepal::commands
