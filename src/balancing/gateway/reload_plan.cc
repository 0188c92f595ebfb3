#include "balancing/gateway/reload_plan.h"

#include <algorithm>

#include "core/base/text.h"

namespace tepal::gateway {

namespace {

const ListenerConfig* FindListener(const GatewayConfig& config, const env::Address& address) {
  for (const ListenerConfig& listener : config.listeners) {
    if (listener.address == address) return &listener;
  }
  return nullptr;
}

template <typename Value>
void Compare(ReloadPlan& plan, std::string_view field, const Value& running, const Value& next) {
  if (!(running == next)) plan.restart.emplace_back(field);
}

std::string TlsText(const std::optional<net::TlsSource::ClientFiles>& tls) {
  if (!tls.has_value()) return "";
  return Concat("\nendpoints\n", tls->ca, "\n", tls->verify_server, "\n", tls->server_name, "\n",
                tls->certificate_chain, "\n", tls->key);
}

std::string TlsText(const PoolConfig& pool) {
  std::string text;
  if (pool.client_tls) {
    text = Concat("clients\n", pool.client_tls->certificate_chain, "\n", pool.client_tls->key, "\n",
                  pool.client_tls->client_ca);
  }
  return text + TlsText(pool.endpoint_tls);
}

// The roles of certificates can change.
std::optional<net::TlsSource::ServerFiles> AdminFiles(const GatewayConfig& config) {
  return config.admin_tls ? std::optional(config.admin_tls->files) : std::nullopt;
}

void ComparePools(ReloadPlan& plan, const GatewayConfig& running, const GatewayConfig& next) {
  for (const PoolConfig& pool : next.pools) {
    if (const PoolConfig* before = running.FindPool(pool.name)) {
      Compare(plan, Concat("TLS of pool ", pool.name), TlsText(*before), TlsText(pool));
    } else {
      Compare(plan, Concat("TLS of the new pool ", pool.name), std::string(), TlsText(pool));
      plan.added.push_back(pool.name);
    }
  }
  for (const PoolConfig& pool : running.pools) {
    if (next.FindPool(pool.name) == nullptr) plan.removed.push_back(pool.name);
  }
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void CompareListeners(ReloadPlan& plan, const GatewayConfig& running, const GatewayConfig& next) {
  for (const ListenerConfig& listener : next.listeners) {
    const ListenerConfig* before = FindListener(running, listener.address);
    if (before == nullptr) {
      plan.listeners.push_back(listener);
    } else if (!(*before == listener)) {
      plan.restart.push_back(Concat("listeners: ", listener.address.ToString(), " changed"));
    }
  }
  for (const ListenerConfig& listener : running.listeners) {
    if (FindListener(next, listener.address) == nullptr && !Contains(plan.removed, listener.pool)) {
      plan.restart.push_back(Concat("listeners: ", listener.address.ToString(), " removed"));
    }
  }
}

}  // namespace

ReloadPlan PlanReload(const GatewayConfig& running, const GatewayConfig& next) {
  ReloadPlan plan;
  ComparePools(plan, running, next);
  CompareListeners(plan, running, next);
  Compare(plan, "admin", running.admin, next.admin);
  Compare(plan, "admin.write", running.admin_writes, next.admin_writes);
  Compare(plan, "admin.tokens_file", running.admin_tokens, next.admin_tokens);
  Compare(plan, "admin.tls", AdminFiles(running), AdminFiles(next));
  Compare(plan, "admin.fleet", running.fleet, next.fleet);
  Compare(plan, "admin.fleet_tls", TlsText(running.fleet_tls), TlsText(next.fleet_tls));
  Compare(plan, "kubernetes", running.kubernetes, next.kubernetes);
  Compare(plan, "access_log", running.access_log, next.access_log);
  Compare(plan, "threads", running.threads, next.threads);
  Compare(plan, "tls_reload_interval", running.tls_reload_interval, next.tls_reload_interval);
  return plan;
}

Status NeedsRestart(const ReloadPlan& plan) {
  if (plan.restart.empty()) return {};
  std::string text = "nothing was applied; a restart is needed for";
  for (size_t i = 0; i < plan.restart.size(); ++i) {
    text += Concat(i == 0 ? " " : ", ", plan.restart[i]);
  }
  return FailedPrecondition(text);
}

}  // namespace tepal::gateway
