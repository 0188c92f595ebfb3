// tepal infer: photos in; class, probability and latency out.

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <set>

#include "apps/commands/client_connection.h"
#include "apps/commands/commands.h"
#include "core/base/text.h"
#include "core/json/writer.h"
#include "core/options/flags.h"
#include "serving/client/photo_input.h"

namespace tepal::commands {
namespace {

struct InferFlags {
  std::string url = "127.0.0.1:8000";
  std::string model;
  int top = 1;
  int concurrency = 1;
  double subtract = 127;
  double divide = 128;
  Duration timeout = 60s;
  Duration wait{};
  bool json = false;
};

options::FlagSet Flags(InferFlags& flags) {
  options::FlagSet set(
      "tepal infer --model MODEL [FLAGS] PHOTO|FOLDER...",
      "Classifies JPEG and PNG photos with a model of any v2 inference server, and "
      "prints class, probability and end-to-end latency of each.");
  set.Add("model", &flags.model, "The model's name.");
  set.Add("url", &flags.url, "The server or balancer: HOST:PORT, http://HOST:PORT or unix:PATH.");
  set.Add("top", &flags.top, "How many classes of each photo to print.");
  set.Add("concurrency", &flags.concurrency, "Photos in flight at once.");
  set.Add("subtract", &flags.subtract,
          "A colour value x of 0 to 255 becomes (x - subtract) / divide.");
  set.Add("divide", &flags.divide, "See --subtract.");
  set.Add("timeout", &flags.timeout, "Longest wait for one answer.");
  set.Add("wait", &flags.wait, "Wait so long for the model to become available.");
  set.Add("json", &flags.json, "One JSON object a photo, on one line each.");
  set.Example("tepal infer --model resnet50 sunflower.jpg", "one photo, a server on this machine");
  set.Example("tepal infer --model resnet50 --url gpu-box:8000 --top 3 photos/",
              "every photo of a folder, the three likeliest classes");
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
  const json::Value::Array* data =
      answer.outputs.empty() ? nullptr : answer.outputs.front().data.AsArray();
  if (data == nullptr) return Internal("the answer has no classes");
  for (const json::Value& entry : *data) {
    const std::string* text = entry.AsString();
    if (text == nullptr) return Internal("the answer's classes are not text");
    ASSIGN_OR_RETURN(client::Classification one, client::ParseClassification(*text));
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
  Classifier(ClientConnection& connection, const InferFlags& flags, client::ModelDeclaration model,
             image::Preprocessing preprocessing, std::vector<std::string> photos)
      : connection_(connection),
        flags_(flags),
        model_(std::move(model)),
        preprocessing_(preprocessing),
        v2_(*connection.http, connection.server),
        printer_(flags, photos.size()),
        results_(photos.size()) {
    for (size_t i = 0; i < photos.size(); ++i) results_[i].path = std::move(photos[i]);
  }

  // Returns the number of photos that failed.
  size_t Run() {
    const Instant started = runtime::SystemClock().Now();
    connection_.loop->Post([this] {
      for (int i = 0; i < std::max(1, flags_.concurrency); ++i) Next();
    });
    connection_.loop->Run();
    printer_.Finish();
    Summarise(runtime::SystemClock().Now() - started);
    return static_cast<size_t>(std::count_if(results_.begin(), results_.end(),
                                             [](const auto& r) { return !r.status.ok(); }));
  }

 private:
  void Next() {
    if (next_ == results_.size()) {
      if (answered_ == results_.size()) connection_.loop->Stop();
      return;
    }
    const size_t index = next_++;
    auto photo = ReadPhoto(results_[index].path);
    if (!photo.ok()) {
      results_[index].status = photo.status();
      // Not by recursion: a folder may hold thousands of broken files.
      connection_.loop->Post([this, index] { OnAnswer(index); });
      return;
    }
    client::InferCall call;
    call.model = flags_.model;
    call.inputs.push_back(client::PhotoInput(model_.inputs.front(), photo->image, preprocessing_));
    call.output = model_.outputs.front().name;
    call.classification = std::max(1, flags_.top);
    const Instant sent = runtime::SystemClock().Now();
    v2_.Infer(call, flags_.timeout, [this, index, sent](Result<client::InferAnswer> answer) {
      PhotoResult& result = results_[index];
      result.latency = runtime::SystemClock().Now() - sent;
      auto classes = answer.ok() ? ReadClasses(*answer)
                                 : Result<std::vector<client::Classification>>(answer.status());
      if (classes.ok()) {
        result.classes = std::move(classes).value();
      } else {
        result.status = classes.status();
      }
      OnAnswer(index);
    });
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
  client::V2Client v2_;
  Printer printer_;
  std::vector<PhotoResult> results_;
  std::set<size_t> waiting_;  // Answered and not printed.
  size_t next_ = 0, answered_ = 0, printed_ = 0;
};

Result<size_t> Infer(const InferFlags& flags, const std::vector<std::string>& paths) {
  ASSIGN_OR_RETURN(std::vector<std::string> photos, FindPhotos(paths));
  ASSIGN_OR_RETURN(ClientConnection connection, ClientConnection::Open(flags.url));
  ASSIGN_OR_RETURN(client::ModelDeclaration model, connection.FetchModel(flags.model, flags.wait));
  if (model.inputs.size() != 1 || model.outputs.empty()) {
    return InvalidArgument(Concat("model '", flags.model, "' has ", model.inputs.size(),
                                  " inputs; expected one, for a photo"));
  }
  ASSIGN_OR_RETURN(
      const image::Preprocessing preprocessing,
      client::PreprocessingFor(model.inputs.front(), static_cast<float>(flags.subtract),
                               static_cast<float>(flags.divide)));
  Classifier classifier(connection, flags, std::move(model), preprocessing, std::move(photos));
  return classifier.Run();
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
  const Result<size_t> failed = Infer(flags, paths);
  if (!failed.ok()) {
    std::fprintf(stderr, "tepal infer: %s\n", failed.status().message().c_str());
    return 1;
  }
  return *failed == 0 ? 0 : 1;
}

}  // namespace tepal::commands
