// tepal serve: the inference server.
//
// The main thread's loop accepts connections, serves its share of them, the metrics page and the
// signals; more loops serve the rest. A stop goes in steps, each of which a second signal cuts
// short: not ready, a lame-duck window, connections closed between two requests, requests finished,
// models unloaded.

#include <sched.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "apps/commands/commands.h"
#include "apps/commands/serve_doors.h"
#include "apps/commands/serve_flags.h"
#include "apps/commands/staging_directory.h"
#include "core/base/text.h"
#include "core/runtime/runtime.h"
#include "core/runtime/worker_threads.h"

namespace tepal::commands {
namespace {

constexpr int kHttpThreadsMax = 8;
constexpr int kBlockingThreads = 4;  // Loading and unloading by request.

// What taskset or a container's cpuset leaves us.
int CoresAllowed() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

bool UsesTls(const ServeOptions& options) {
  return options.http_tls.on() || options.grpc_tls.on() || options.metrics_tls.on();
}

class Server {
 public:
  explicit Server(ServeOptions options) : options_(std::move(options)) {}

  Status Start();
  int Run();  // Until a signal has ended it; the exit code.

 private:
  Status StartLoops();
  void OnSignal(int signal);
  void Drain();
  void Finish(bool in_time);

  const ServeOptions options_;
  std::unique_ptr<StagingDirectory> staging_;  // For models that requests bring.
  std::unique_ptr<runtime::EpollLoop> loop_;
  std::unique_ptr<runtime::LoopThreads> threads_;
  std::unique_ptr<env::Executor> blocking_;
  const std::unique_ptr<gpu::Gpus> gpus_ = gpu::NewCudaGpus();  // Outlives memory on them.
  Budget bodies_{options_.body_budget_bytes};  // Outlives the requests that hold them.
  gpu::PinnedPool pinned_{*gpus_, options_.pinned_pool_bytes};
  std::unique_ptr<ServerCore> core_;
  std::unique_ptr<ServeDoors> doors_;
  env::EventLoop::TimerId window_timer_ = 0;
  env::EventLoop::TimerId exit_timer_ = 0;
  int signals_ = 0;
  int exit_code_ = 0;
  bool gave_up_ = false;  // Requests are still executing.
};

Status Server::StartLoops() {
  ASSIGN_OR_RETURN(loop_, runtime::EpollLoop::New());
  // Before any other thread exists, so that they all inherit the blocked signals.
  std::vector<int> signals = {SIGTERM, SIGINT};
  // Without certificates a hang-up ends the process, as it does most.
  if (UsesTls(options_)) signals.push_back(SIGHUP);
  RETURN_IF_ERROR(loop_->WatchSignals(signals, [this](int signal) { OnSignal(signal); }));
  int count = options_.http_thread_count;
  if (count == 0) {
    count = std::min(kHttpThreadsMax, CoresAllowed());
  }
  if (count > 1) {
    ASSIGN_OR_RETURN(threads_, runtime::LoopThreads::Start("http", count - 1));
  }
  blocking_ = runtime::NewThreadPool("blocking", kBlockingThreads);
  return {};
}

Status Server::Start() {
  RETURN_IF_ERROR(telemetry::SetLogSettings(options_.log));
  RETURN_IF_ERROR(StartLoops());
  std::vector<env::EventLoop*> loops = {loop_.get()};
  if (threads_ != nullptr) {
    for (env::EventLoop* loop : threads_->loops()) loops.push_back(loop);
  }
  ServerCoreOptions core = options_.core;
  if (core.control_mode == ModelControlMode::kExplicit) {
    ASSIGN_OR_RETURN(staging_, StagingDirectory::Make());
    core.staging_directory = staging_->path();
  }
  ASSIGN_OR_RETURN(core_, NewServerCore(core, {runtime::SystemClock(), runtime::SystemFileSystem(),
                                               runtime::SystemThreads(), gpus_.get(), &pinned_}));
  doors_ = std::make_unique<ServeDoors>(options_, std::move(loops), *blocking_, *core_, *gpus_,
                                        bodies_, pinned_, CoresAllowed());
  return doors_->Open();
}

int Server::Run() {
  loop_->Run();
  // A model that still executes holds its threads: destroying the core would wait for it.
  if (gave_up_) {
    staging_.reset();
    std::_Exit(exit_code_);
  }
  return exit_code_;
}

void Server::OnSignal(int signal) {
  if (signal == SIGHUP) {
    if (doors_ != nullptr) doors_->ReloadCertificates();
    return;
  }
  switch (++signals_) {
    case 1:
      telemetry::LogInfo(Concat("Stopping: not ready from now on; serving for ",
                                ToSeconds(options_.lame_duck), " s more"));
      core_->SetLameDuck();
      window_timer_ = loop_->RunAfter(options_.lame_duck, [this] { Drain(); });
      break;
    case 2:
      telemetry::LogInfo("Second signal: the lame-duck window is cut short");
      loop_->Cancel(window_timer_);
      Drain();
      break;
    default:
      telemetry::LogWarning("Third signal: requests in flight are given up");
      Finish(false);
  }
}

void Server::Drain() {
  exit_timer_ = loop_->RunAfter(options_.exit_time_max, [this] {
    telemetry::LogError("Exit timeout expired. Exiting immediately.");
    Finish(false);
  });
  doors_->Drain([this] { Finish(true); });
}

void Server::Finish(bool in_time) {
  loop_->Cancel(exit_timer_);
  doors_->Stop();
  const Status stopped = core_->Stop(in_time ? options_.exit_time_max : 0s);
  if (!stopped.ok()) telemetry::LogError(stopped.message());
  gave_up_ = !stopped.ok();
  exit_code_ = in_time && stopped.ok() ? 0 : 1;
  loop_->Stop();
}

}  // namespace

int RunServe(Arguments arguments) {
  ServeOptions serve_options;
  options::FlagSet flags = ServeFlags(serve_options);
  std::vector<std::string> rest;
  if (const auto exit_code = options::ParseOrExplain(flags, arguments, rest)) return *exit_code;
  if (!rest.empty()) {
    std::fprintf(stderr, "tepal serve: unexpected word '%s'; every option begins with --\n",
                 rest.front().c_str());
    return 2;
  }
  // ONNX Runtime would keep a device id and a store of events in the home directory. Here, before
  // any thread could read the environment; a value that is set already stays.
  setenv("ORT_DISABLE_TELEMETRY", "1", 0);
  // CUDA's own way to choose devices, which backends follow too.
  if (!serve_options.gpus.empty()) {
    setenv("CUDA_VISIBLE_DEVICES", serve_options.gpus.c_str(), 1);
  }
  Server server(std::move(serve_options));
  if (const Status status = server.Start(); !status.ok()) {
    telemetry::LogError(status.message());
    return 1;
  }
  return server.Run();
}

}  // namespace tepal::commands
