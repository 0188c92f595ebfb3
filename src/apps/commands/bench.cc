// tepal bench: load on a model, and what came of it.

#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "apps/commands/bench_flags.h"
#include "apps/commands/bench_load.h"
#include "apps/commands/commands.h"
#include "core/base/text.h"
#include "serving/client/load_report.h"
#include "serving/client/server_watch.h"

namespace tepal::commands {
namespace {

// What is in the table already stays.
Status AddMeasurements(const BenchFlags& flags, const client::LoadReport& report) {
  env::FileSystem& files = runtime::SystemFileSystem();
  std::string table(client::kMeasurementsHeader);
  if (files.Stat(flags.measurements).ok()) {
    ASSIGN_OR_RETURN(table, files.Read(flags.measurements));
    if (!table.starts_with(client::kMeasurementsHeader)) {
      return InvalidArgument(Concat("--measurements: ", flags.measurements,
                                    " is something else, expected a new file or one that begins "
                                    "with ",
                                    client::kMeasurementsHeader));
    }
  }
  table += client::MeasurementRows(report, flags.model, flags.profile);
  return files.Replace(flags.measurements, table);
}

Status WriteFiles(const BenchFlags& flags, const client::LoadReport& report) {
  env::FileSystem& files = runtime::SystemFileSystem();
  if (!flags.json.empty()) RETURN_IF_ERROR(files.Replace(flags.json, client::ReportJson(report)));
  if (!flags.csv.empty()) RETURN_IF_ERROR(files.Replace(flags.csv, client::ReportCsv(report)));
  if (!flags.measurements.empty()) RETURN_IF_ERROR(AddMeasurements(flags, report));
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

// Runs the phases, watching what they cost.
Result<client::LoadReport> Load(const BenchFlags& flags, const std::string& progress) {
  client::LoadGenerator::Options options;
  ASSIGN_OR_RETURN(options.phases, ParsePhases(flags));
  options.seed = flags.seed;
  ASSIGN_OR_RETURN(ClientConnection connection, ClientConnection::Open(flags.connection));
  ASSIGN_OR_RETURN(const client::ModelDeclaration model,
                   connection.FetchModel(flags.model, flags.connection.wait));
  client::ServerWatch watch(runtime::SystemFileSystem(),
                            {flags.server_statistics ? &connection.v2() : nullptr, flags.model,
                             flags.connection.timeout, flags.server_pid});
  RETURN_IF_ERROR(watch.Check());
  ASSIGN_OR_RETURN(std::vector<client::InferCall> calls, MakeCalls(connection, flags, model));
  ASSIGN_OR_RETURN(const BenchLoad load,
                   MakeLoad(connection, flags, options.phases, std::move(calls)));

  client::LoadGenerator generator(connection.loop(), *load.target, options);
  RETURN_IF_ERROR(
      connection.loop().WatchSignals({SIGINT, SIGTERM}, [&](int) { generator.Stop(); }));
  auto report = connection.Await<client::LoadReport>([&](Function<void(client::LoadReport)> done) {
    client::LoadGenerator::Calls told;
    told.on_interval = [&](const client::LoadInterval& interval) {
      PrintInterval(progress, interval);
    };
    told.on_edge = [&] { watch.Read(); };
    told.done = [&watch, done = std::move(done)](const client::LoadReport& made) mutable {
      watch.WhenComplete([made, done = std::move(done)]() mutable { done(std::move(made)); });
    };
    generator.Start(std::move(told));
  });
  if (progress == "line") std::fputs("\r\033[K", stderr);
  for (size_t i = 0; i < report.phases.size(); ++i) {
    report.costs.push_back(watch.CostOf(i, report.phases[i].succeeded + report.phases[i].failed));
  }
  if (load.shared != nullptr) RETURN_IF_ERROR(Unregister(connection, load.shared->regions()));
  return report;
}

}  // namespace

int RunBench(Arguments arguments) {
  BenchFlags flags;
  options::FlagSet set = MakeFlagSet(flags);
  std::vector<std::string> rest;
  if (const auto exit_code = options::ParseOrExplain(set, arguments, rest)) return *exit_code;
  if (flags.model.empty() || !rest.empty()) {
    std::fprintf(stderr, "tepal bench: expected --model NAME%s%s\n",
                 rest.empty() ? "" : " and no word such as ", rest.empty() ? "" : rest[0].c_str());
    return 2;
  }
  if (const Status status = CheckFlags(flags); !status.ok()) {
    std::fprintf(stderr, "tepal bench: %s\n", status.message().c_str());
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
