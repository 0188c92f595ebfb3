// tepal bench: load on a model, and what came of it.

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <optional>

#include "apps/commands/client_connection.h"
#include "apps/commands/commands.h"
#include "core/base/text.h"
#include "core/options/flags.h"
#include "core/options/values.h"
#include "serving/client/load_report.h"
#include "serving/client/photo_input.h"

namespace tepal::commands {
namespace {

struct BenchFlags {
  std::string url = "127.0.0.1:8000";
  std::string model;
  std::string concurrency;
  std::string rate;
  std::string phases;
  Duration duration = 10s;
  Duration timeout = 60s;
  Duration wait{};
  std::vector<std::string> shapes;
  std::vector<std::string> photos;
  double subtract = 127;
  double divide = 128;
  uint64_t seed = 1;
  std::string json, csv, plot;
  std::string progress = "auto";
};

options::FlagSet Flags(BenchFlags& flags) {
  options::FlagSet set("tepal bench --model MODEL [FLAGS]",
                       "Sends a model requests, closed loop (so many clients, each waiting for its "
                       "answer) or open loop (Poisson arrivals), and reports throughput, latency "
                       "and failures. Works against any v2 server. Nothing is retried.");
  set.Group("What to send");
  set.Add("model", &flags.model, "The model's name.");
  set.Add("url", &flags.url, "The server or balancer: HOST:PORT, http://HOST:PORT or unix:PATH.");
  set.Add("photo", &flags.photos, "A photo or a folder of photos, sent in turn instead of zeros.");
  set.Add("shape", &flags.shapes, "NAME:1,3,224,224 for an input with open dimensions.");
  set.Add("subtract", &flags.subtract, "Of photos: (x - subtract) / divide.");
  set.Add("divide", &flags.divide, "See --subtract.");
  set.Group("How much");
  set.Add("concurrency", &flags.concurrency, "Closed loop: clients, one phase each: 1,4,16.");
  set.Add("rate", &flags.rate, "Open loop: requests per second, one phase each: 100,200.");
  set.Add("duration", &flags.duration, "Length of each of those phases.");
  set.Add("phases", &flags.phases,
          "Phases of their own lengths: 6@40s is six clients, 100/s@40s a rate, 0@10s a pause.");
  set.Add("timeout", &flags.timeout, "Longest wait for one answer.");
  set.Add("wait", &flags.wait, "Wait so long for the model to become available.");
  set.Add("seed", &flags.seed, "Of the arrivals.");
  set.Group("What to report");
  set.Add("json", &flags.json, "Write everything to this file.");
  set.Add("csv", &flags.csv, "Write one row a phase to this file.");
  set.Add("plot", &flags.plot, "Draw load, throughput and latency over time to this PNG file.");
  set.Add("progress", &flags.progress,
          "Each second: auto (a line when the output is a terminal), none, or json (one object a "
          "line on stdout instead of the table).");
  set.Example("tepal bench --model resnet50 --concurrency 1,4,16 --plot load.png",
              "three phases of ten seconds, drawn");
  set.Example("tepal bench --model resnet50 --rate 50 --duration 60s --photo photos/",
              "fifty photos a second for a minute, whatever the server does");
  return set;
}

Result<client::LoadPhase> ParseLoad(std::string_view text, Duration length) {
  client::LoadPhase phase;
  phase.length = length;
  if (text.ends_with("/s")) {
    const auto rate = ParseNumber<double>(text.substr(0, text.size() - 2));
    if (rate && *rate > 0 && *rate <= 1e6) {
      phase.rate_per_s = *rate;
      return phase;
    }
  } else if (const auto clients = ParseNumber<int>(text);
             clients && *clients >= 0 && *clients <= 10'000) {
    phase.concurrency = *clients;
    return phase;
  }
  return InvalidArgument(
      Concat("load '", text, "': expected 0 to 10000 clients, or a rate up to 1000000/s"));
}

Result<std::vector<client::LoadPhase>> ParsePhases(const BenchFlags& flags) {
  std::vector<client::LoadPhase> phases;
  if (!flags.phases.empty()) {
    for (const std::string_view text : Split(flags.phases, ',')) {
      const size_t at = text.find('@');
      const auto length =
          at == std::string_view::npos ? std::nullopt : options::ParseDuration(text.substr(at + 1));
      if (!length || *length <= 0s) {
        return InvalidArgument(
            Concat("--phases: got '", text, "', expected LOAD@DURATION as 6@40s"));
      }
      ASSIGN_OR_RETURN(client::LoadPhase phase, ParseLoad(text.substr(0, at), *length));
      phases.push_back(phase);
    }
  }
  if (!flags.rate.empty()) {
    for (const std::string_view text : Split(flags.rate, ',')) {
      ASSIGN_OR_RETURN(client::LoadPhase phase, ParseLoad(Concat(text, "/s"), flags.duration));
      phases.push_back(phase);
    }
  }
  if (!flags.concurrency.empty() || phases.empty()) {
    const std::string clients = flags.concurrency.empty() ? "1" : flags.concurrency;
    for (const std::string_view text : Split(clients, ',')) {
      ASSIGN_OR_RETURN(client::LoadPhase phase, ParseLoad(text, flags.duration));
      phases.push_back(phase);
    }
  }
  return phases;
}

Result<Shape> ShapeFor(const BenchFlags& flags, const std::string& input) {
  Shape shape;
  for (const std::string& text : flags.shapes) {
    const size_t colon = text.find(':');
    if (colon == std::string::npos) {
      return InvalidArgument(Concat("--shape: got '", text, "', expected NAME:1,3,224,224"));
    }
    if (text.substr(0, colon) != input) continue;
    for (const std::string_view part : Split(std::string_view(text).substr(colon + 1), ',')) {
      const auto dimension = ParseNumber<int64_t>(part);
      if (!dimension || *dimension < 0) {
        return InvalidArgument(Concat("--shape: got '", text, "', expected NAME:1,3,224,224"));
      }
      shape.push_back(*dimension);
    }
  }
  return shape;
}

Result<std::vector<client::EncodedRequest>> ZeroRequests(const BenchFlags& flags,
                                                         const client::ModelDeclaration& model) {
  client::InferCall call;
  call.model = flags.model;
  for (const client::TensorDeclaration& input : model.inputs) {
    ASSIGN_OR_RETURN(const Shape shape, ShapeFor(flags, input.name));
    ASSIGN_OR_RETURN(client::InferInput tensor, client::ZeroInput(input, shape));
    call.inputs.push_back(std::move(tensor));
  }
  std::vector<client::EncodedRequest> requests;
  requests.push_back(client::EncodeInfer(call));
  return requests;
}

Result<std::vector<client::EncodedRequest>> PhotoRequests(const BenchFlags& flags,
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
  std::vector<client::EncodedRequest> requests;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(const Photo photo, ReadPhoto(path));
    client::InferCall call;
    call.model = flags.model;
    call.inputs.push_back(client::PhotoInput(model.inputs.front(), photo.image, how));
    requests.push_back(client::EncodeInfer(call));
  }
  return requests;
}

Status WriteFiles(const BenchFlags& flags, const client::LoadReport& report) {
  env::FileSystem& files = runtime::SystemFileSystem();
  if (!flags.json.empty()) RETURN_IF_ERROR(files.Replace(flags.json, client::ReportJson(report)));
  if (!flags.csv.empty()) RETURN_IF_ERROR(files.Replace(flags.csv, client::ReportCsv(report)));
  if (!flags.plot.empty()) {
    ASSIGN_OR_RETURN(const std::vector<std::byte> png,
                     image::EncodePng(client::Draw(client::ReportPlot(report))));
    RETURN_IF_ERROR(files.Replace(
        flags.plot, std::string_view(reinterpret_cast<const char*>(png.data()), png.size())));
  }
  return {};
}

void PrintInterval(const std::string& progress, const client::LoadInterval& interval) {
  if (progress == "json") {
    std::printf("%s\n", client::IntervalJson(interval).c_str());
    std::fflush(stdout);
  } else if (progress == "line") {
    std::fprintf(
        stderr,
        "\r\033[K%6.0f s  %d in flight  %.0f answers/s  p50 %.1f ms  p99 %.1f ms  %llu failed",
        ToSeconds(interval.end), static_cast<int>(interval.in_flight), interval.throughput_per_s(),
        static_cast<double>(interval.p50_us) / 1000, static_cast<double>(interval.p99_us) / 1000,
        static_cast<unsigned long long>(interval.failed));
  }
}

Result<client::LoadReport> Load(const BenchFlags& flags, const std::string& progress) {
  client::LoadGenerator::Options options;
  ASSIGN_OR_RETURN(options.phases, ParsePhases(flags));
  options.request_time_max = flags.timeout;
  options.seed = flags.seed;
  ASSIGN_OR_RETURN(ClientConnection connection, ClientConnection::Open(flags.url));
  ASSIGN_OR_RETURN(const client::ModelDeclaration model,
                   connection.FetchModel(flags.model, flags.wait));
  ASSIGN_OR_RETURN(std::vector<client::EncodedRequest> requests,
                   flags.photos.empty() ? ZeroRequests(flags, model) : PhotoRequests(flags, model));

  client::LoadGenerator generator(*connection.loop, *connection.http, connection.server,
                                  std::move(requests), options);
  client::LoadReport result;
  RETURN_IF_ERROR(connection.loop->WatchSignals({SIGINT, SIGTERM}, [&](int) { generator.Stop(); }));
  connection.loop->Post([&] {
    generator.Start(
        [&](const client::LoadInterval& interval) { PrintInterval(progress, interval); },
        [&](const client::LoadReport& report) {
          result = report;
          connection.loop->Stop();
        });
  });
  connection.loop->Run();
  if (progress == "line") std::fputs("\r\033[K", stderr);
  return result;
}

}  // namespace

int RunBench(Arguments arguments) {
  BenchFlags flags;
  options::FlagSet set = Flags(flags);
  std::vector<std::string> rest;
  if (const auto exit_code = options::ParseOrExplain(set, arguments, rest)) return *exit_code;
  if (flags.model.empty() || !rest.empty()) {
    std::fprintf(stderr, "tepal bench: expected --model NAME%s%s\n",
                 rest.empty() ? "" : " and no word such as ", rest.empty() ? "" : rest[0].c_str());
    return 2;
  }
  std::string progress = flags.progress;
  if (progress == "auto") progress = isatty(STDERR_FILENO) != 0 ? "line" : "none";
  const Result<client::LoadReport> report = Load(flags, progress);
  if (!report.ok()) {
    std::fprintf(stderr, "tepal bench: %s\n", report.status().message().c_str());
    return report.status().code() == StatusCode::kInvalidArgument ? 2 : 1;
  }
  if (progress != "json") std::fputs(client::ReportTable(*report).c_str(), stdout);
  if (const Status status = WriteFiles(flags, *report); !status.ok()) {
    std::fprintf(stderr, "tepal bench: %s\n", status.message().c_str());
    return 1;
  }
  return report->failed == 0 ? 0 : 1;
}

}  // namespace tepal::commands
