#include "serving/frontend/model_load_report.h"

#include <algorithm>

#include "core/json/writer.h"

namespace tepal {
namespace {

uint64_t NotNegative(int64_t count) { return count > 0 ? static_cast<uint64_t>(count) : 0; }

// Rows that could join the batch that is being collected.
uint64_t RoomOf(const ModelConfig& config, uint64_t queued) {
  if (!config.dynamic_batching.has_value() || config.max_batch_size <= 0) return 0;
  const auto rows = static_cast<uint64_t>(config.max_batch_size);
  return rows - queued % rows;
}

}  // namespace

bool AsksModelLoad(const http::Headers& request) { return request.Get(kLoadAskField) == "1"; }

ModelLoad ModelLoadReporter::Load(const ServedModel& model, const WorkSnapshot& work) {
  ModelLoad load;
  load.in_flight = NotNegative(work.in_flight);
  load.queued = NotNegative(work.pending);
  load.each = work.each;
  load.instances = work.instances;
  load.room = RoomOf(model.config(), load.queued);
  load.wait = ExpectedWait(load);
  return load;
}

// Counting needs a list of the models: not with every answer.
int64_t ModelLoadReporter::InFlightOfAll(Instant now) {
  int64_t last = counted_at_.load(std::memory_order_relaxed);
  const int64_t at = now.time_since_epoch().count();
  const bool young = last != INT64_MIN && at - last < Duration(kAllAge).count();
  if (!young && counted_at_.compare_exchange_strong(last, at, std::memory_order_relaxed)) {
    const auto served = core_.Served();
    int64_t sum = 0;
    for (const auto& model : served) sum += model->statistics().Work(now).in_flight;
    // The one model there is is counted with every answer.
    counted_.store(served.size() > 1 ? sum : 0, std::memory_order_relaxed);
  }
  return counted_.load(std::memory_order_relaxed);
}

ModelLoad ModelLoadReporter::Answering(const ServedModel& model, Instant now) {
  WorkSnapshot work = model.statistics().Work(now);
  // One that runs on the event loop is answered before it is let go.
  if (model.runs_inline() && work.in_flight > 0) --work.in_flight;
  ModelLoad load = Load(model, work);
  load.in_flight_all = std::max(load.in_flight, NotNegative(InFlightOfAll(now)));
  return load;
}

void ModelLoadReporter::Add(const ServedModel& model, Instant now, http::Headers& headers) {
  LoadText text;
  headers.Add(kLoadField, WriteModelLoad(Answering(model, now), text));
}

std::string ModelLoadReporter::Json(Instant now) {
  const auto served = core_.Served();
  uint64_t all = 0;
  json::Writer models;
  models.BeginArray();
  for (const auto& model : served) {
    const ModelLoad load = Load(*model, model->statistics().Work(now));
    all += load.in_flight;
    models.BeginObject().Key("name").String(model->name());
    models.Key("version").Int(model->version()).Key("ready").Bool(true);
    models.Key("in_flight").Uint(load.in_flight).Key("queued").Uint(load.queued);
    models.Key("wait_us").Int(ToMicroseconds(load.wait));
    models.Key("each_us").Int(ToMicroseconds(load.each));
    models.Key("instances").Uint(load.instances).Key("room").Uint(load.room).EndObject();
  }
  models.EndArray();
  json::Writer out;
  out.BeginObject().Key("ready").Bool(core_.Ready()).Key("in_flight").Uint(all);
  out.Key("models").Raw(models.text()).EndObject();
  return out.Take();
}

}  // namespace tepal
