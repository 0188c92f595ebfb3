// tepal infer: photos in; class, probability and latency out.

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <set>

#include "apps/commands/client_connection.h"
#include "apps/commands/commands.h"
#include "core/base/text.h"
#include "core/json/writer.h"
#include "core/options/flags.h"
#include "serving/client/photo_input.h"
#include "serving/client/shared_slots.h"

namespace tepal::commands {
namespace {

constexpr int kConcurrencyMax = 1024;

struct InferFlags {
  ConnectionFlags connection;
  std::string model;
  int top = 1;
  int concurrency = 1;
  double subtract = 127;
  double divide = 128;
  bool json = false;
};

options::FlagSet Flags(InferFlags& flags) {
  options::FlagSet set(
      "tepal infer --model MODEL [FLAGS] PHOTO|FOLDER...",
      "Classifies JPEG and PNG photos with a model of any v2 inference server, and "
      "prints class, probability and end-to-end latency of each. Exit code: 0 when every photo was "
      "classified, 1 when one was not or there was no server or model, 2 for a wrong command "
      "line.");
  set.Add("model", &flags.model, "The model's name.");
  set.Add("top", &flags.top, "How many classes of each photo to print.");
  set.Add("concurrency", &flags.concurrency, "Photos in flight at once.");
  set.Add("subtract", &flags.subtract,
          "A colour value x of 0 to 255 becomes (x - subtract) / divide.");
  set.Add("divide", &flags.divide, "See --subtract.");
  set.Add("json", &flags.json, "One JSON object a photo, on one line each.");
  set.Group("The server");
  AddConnectionFlags(set, flags.connection);
  set.Example("tepal infer --model resnet50 sunflower.jpg", "one photo, a server on this machine");
  set.Example("tepal infer --model resnet50 --url gpu-box:8000 --top 3 photos/",
              "every photo of a folder, the three likeliest classes");
  set.Example(
      "tepal infer --model resnet50 --protocol grpc --streaming --shared-memory system photos/",
      "over one gRPC stream, pixels in shared memory");
  return set;
}

struct PhotoResult {
  std::string path;
  Status status;
  std::vector<client::Classification> classes;
  Duration latency{};
};

Result<std::vector<client::Classification>> ReadClasses(const client::InferAnswer& answer) {
  std::vector<client::Classification> classes;
  if (answer.outputs.empty() || answer.outputs.front().type != DataType::kBytes) {
    return Internal("the answer has no classes");
  }
  ASSIGN_OR_RETURN(const auto texts, client::ReadStrings(answer.outputs.front().data));
  for (const std::string_view text : texts) {
    ASSIGN_OR_RETURN(client::Classification one, client::ParseClassification(text));
    classes.push_back(std::move(one));
  }
  if (classes.empty()) return Internal("the answer has no classes");
  return classes;
}

// Prints results in the order of the photos, however the answers come.
class Printer {
 public:
  Printer(const InferFlags& flags, size_t count)
      : json_(flags.json),
        progress_(!flags.json && count > 20 && isatty(STDERR_FILENO) != 0),
        count_(count) {}

  void Print(const PhotoResult& result) {
    if (progress_) std::fputs("\r\033[K", stderr);
    json_ ? PrintJson(result) : PrintText(result);
    if (progress_) PrintProgress();
  }

  void Finish() const {
    if (progress_) std::fputs("\r\033[K", stderr);
  }

 private:
  void PrintText(const PhotoResult& result) {
    ++done_;
    if (!result.status.ok()) {
      std::fflush(stdout);
      std::fprintf(stderr, "%s: %s\n", result.path.c_str(), result.status.message().c_str());
      return;
    }
    std::printf("%-40s", result.path.c_str());
    for (const client::Classification& one : result.classes) {
      const std::string name = one.label.empty() ? Concat("class ", one.index) : one.label;
      std::printf("  %-12s %.4f", name.c_str(), one.score);
    }
    std::printf("  %8.1f ms\n", ToMilliseconds(result.latency));
  }

  void PrintJson(const PhotoResult& result) {
    ++done_;
    json::Writer out;
    out.BeginObject().Key("photo").String(result.path);
    if (!result.status.ok()) {
      out.Key("error").String(result.status.message());
    } else {
      out.Key("classes").BeginArray();
      for (const client::Classification& one : result.classes) {
        out.BeginObject();
        out.Key("label").String(one.label).Key("index").Int(one.index);
        out.Key("probability").Double(one.score).EndObject();
      }
      out.EndArray().Key("latency_ms").Double(ToMilliseconds(result.latency));
    }
    std::printf("%s\n", out.EndObject().Take().c_str());
  }

  void PrintProgress() const {
    constexpr size_t kWidth = 40;
    const size_t filled = kWidth * done_ / count_;
    std::fprintf(stderr, "\r[%s%s] %zu of %zu", std::string(filled, '#').c_str(),
                 std::string(kWidth - filled, '.').c_str(), done_, count_);
  }

  const bool json_;
  const bool progress_;
  const size_t count_;
  size_t done_ = 0;
};

class Classifier {
 public:
  // `slots`: where pixels go in shared memory; null: they are sent.
  Classifier(ClientConnection& connection, const InferFlags& flags, client::ModelDeclaration model,
             image::Preprocessing preprocessing, std::vector<std::string> photos,
             client::SharedSlots* slots)
      : connection_(connection),
        flags_(flags),
        model_(std::move(model)),
        preprocessing_(preprocessing),
        slots_(slots),
        printer_(flags, photos.size()),
        results_(photos.size()) {
    for (size_t i = 0; i < photos.size(); ++i) results_[i].path = std::move(photos[i]);
  }

  // Photos that were not begun fail; those in flight are waited for.
  void Interrupt() { interrupted_ = true; }

  // Returns the number of photos that failed.
  size_t Run() {
    const Instant started = runtime::SystemClock().Now();
    connection_.loop().Post([this] {
      for (int i = 0; i < flags_.concurrency; ++i) Next();
    });
    connection_.loop().Run();
    printer_.Finish();
    Summarise(runtime::SystemClock().Now() - started);
    return static_cast<size_t>(std::count_if(results_.begin(), results_.end(),
                                             [](const auto& r) { return !r.status.ok(); }));
  }

 private:
  void Next() {
    if (next_ == results_.size()) {
      if (answered_ == results_.size()) connection_.loop().Stop();
      return;
    }
    const size_t index = next_++;
    auto photo =
        interrupted_ ? Result<Photo>(Cancelled("interrupted")) : ReadPhoto(results_[index].path);
    if (!photo.ok()) {
      results_[index].status = photo.status();
      // Not by recursion: a folder may hold thousands of broken files.
      connection_.loop().Post([this, index] { OnAnswer(index); });
      return;
    }
    client::InferCall call;
    call.model = flags_.model;
    call.inputs.push_back(client::PhotoInput(model_.inputs.front(), photo->image, preprocessing_));
    call.outputs.push_back({model_.outputs.front().name, std::max(1, flags_.top)});
    const size_t slot = slots_ == nullptr ? 0 : slots_->Place(call.inputs.front());
    const Instant sent = runtime::SystemClock().Now();
    connection_.v2().Infer(call, flags_.connection.timeout,
                           [this, index, slot, sent](Result<client::InferAnswer> answer) {
                             if (slots_ != nullptr) slots_->Free(slot);
                             results_[index].latency = runtime::SystemClock().Now() - sent;
                             TakeAnswer(answer, results_[index]);
                             OnAnswer(index);
                           });
  }

  static void TakeAnswer(const Result<client::InferAnswer>& answer, PhotoResult& result) {
    auto classes = answer.ok() ? ReadClasses(*answer)
                               : Result<std::vector<client::Classification>>(answer.status());
    if (classes.ok()) {
      result.classes = std::move(classes).value();
    } else {
      result.status = classes.status();
    }
  }

  void OnAnswer(size_t index) {
    ++answered_;
    for (waiting_.insert(index); waiting_.erase(printed_) > 0; ++printed_) {
      printer_.Print(results_[printed_]);
    }
    Next();
  }

  void Summarise(Duration took) const {
    std::vector<double> latencies_ms;
    for (const PhotoResult& result : results_) {
      if (result.status.ok()) latencies_ms.push_back(ToMilliseconds(result.latency));
    }
    if (flags_.json || latencies_ms.empty()) return;
    std::sort(latencies_ms.begin(), latencies_ms.end());
    const auto at = [&](double q) {
      return latencies_ms[std::min(
          latencies_ms.size() - 1,
          static_cast<size_t>(q * static_cast<double>(latencies_ms.size())))];
    };
    std::printf("%zu photo%s in %.2f s: %.1f photos/s, latency p50 %.1f ms, p99 %.1f ms\n",
                latencies_ms.size(), latencies_ms.size() == 1 ? "" : "s", ToSeconds(took),
                static_cast<double>(latencies_ms.size()) / ToSeconds(took), at(0.5), at(0.99));
  }

  ClientConnection& connection_;
  const InferFlags& flags_;
  const client::ModelDeclaration model_;
  const image::Preprocessing preprocessing_;
  client::SharedSlots* const slots_;
  Printer printer_;
  std::vector<PhotoResult> results_;
  std::set<size_t> waiting_;  // Answered and not printed.
  size_t next_ = 0, answered_ = 0, printed_ = 0;
  bool interrupted_ = false;
};

Result<size_t> Infer(const InferFlags& flags, const std::vector<std::string>& paths) {
  ASSIGN_OR_RETURN(std::vector<std::string> photos, FindPhotos(paths));
  ASSIGN_OR_RETURN(ClientConnection connection, ClientConnection::Open(flags.connection));
  ASSIGN_OR_RETURN(client::ModelDeclaration model,
                   connection.FetchModel(flags.model, flags.connection.wait));
  if (model.inputs.size() != 1 || model.outputs.empty()) {
    return InvalidArgument(Concat("model '", flags.model, "' has ", model.inputs.size(),
                                  " inputs; expected one, for a photo"));
  }
  const client::TensorDeclaration& input = model.inputs.front();
  ASSIGN_OR_RETURN(const image::Preprocessing preprocessing,
                   client::PreprocessingFor(input, static_cast<float>(flags.subtract),
                                            static_cast<float>(flags.divide)));
  std::unique_ptr<client::SharedSlots> slots;
  if (flags.connection.in_shared_memory()) {
    const uint64_t photo_bytes = uint64_t{3} * static_cast<uint64_t>(preprocessing.width) *
                                 static_cast<uint64_t>(preprocessing.height) *
                                 DataTypeSize(input.type);
    ASSIGN_OR_RETURN(slots, client::SharedSlots::New(runtime::SystemSharedMemory(),
                                                     Concat("tepal_infer_", getpid()), photo_bytes,
                                                     static_cast<size_t>(flags.concurrency)));
    RETURN_IF_ERROR(Register(connection, {slots->region()}));
  }
  Classifier classifier(connection, flags, std::move(model), preprocessing, std::move(photos),
                        slots.get());
  // Shared memory must not be left behind.
  RETURN_IF_ERROR(
      connection.loop().WatchSignals({SIGINT, SIGTERM}, [&](int) { classifier.Interrupt(); }));
  const size_t failed = classifier.Run();
  if (slots != nullptr) RETURN_IF_ERROR(Unregister(connection, {slots->region()}));
  return failed;
}

}  // namespace

int RunInfer(Arguments arguments) {
  InferFlags flags;
  options::FlagSet set = Flags(flags);
  std::vector<std::string> paths;
  if (const auto exit_code = options::ParseOrExplain(set, arguments, paths)) return *exit_code;
  if (flags.model.empty() || paths.empty()) {
    std::fprintf(stderr, "tepal infer: expected --model NAME and at least one photo or folder\n");
    return 2;
  }
  if (flags.concurrency < 1 || flags.concurrency > kConcurrencyMax) {
    std::fprintf(stderr, "tepal infer: --concurrency: got %d, expected 1 to %d\n",
                 flags.concurrency, kConcurrencyMax);
    return 2;
  }
  if (const Status status = flags.connection.Check(); !status.ok()) {
    std::fprintf(stderr, "tepal infer: %s\n", status.message().c_str());
    return 2;
  }
  const Result<size_t> failed = Infer(flags, paths);
  if (!failed.ok()) {
    std::fprintf(stderr, "tepal infer: %s\n", failed.status().message().c_str());
    return 1;
  }
  return *failed == 0 ? 0 : 1;
}

}  // namespace tepal::commands
