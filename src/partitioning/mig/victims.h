// Which instances to give up on scale-down, and which to take on scale-up, so that large ones still
// fit.
//
// Free slices are worth little when they lie apart: of seven 1g with three removed at random, a 3g
// fits in 3 of 100 cases. What a choice leaves is compared first by its promise, the most LargeRoom
// that each GPU would have if more left, a fifth less for each of them: so a GPU that has begun to
// empty is emptied before another is touched, though the load falls in small steps. Between equals
// by LargeRoom as it is, then by what the best next removal would leave, and the one after it.
//
// An instance counts as free when nobody works in it, whether it still exists or not: whoever wants
// the room can destroy it. Pure; any thread.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "partitioning/mig/layout.h"

namespace tepal::mig {

// Who works on one GPU. Together a legal layout.
struct Tenants {
  const GpuModel* model = nullptr;
  Layout staying = {};
  Layout removable = {};  // May be asked to leave.
};

struct Tenant {
  size_t gpu = 0;
  size_t index = 0;  // In its `removable`.
  bool operator==(const Tenant&) const = default;
};

// As Room, of the plain profiles alone: +me and those of double memory take room that others count
// already.
int LargeRoom(const GpuModel& model, std::span<const Placement> busy);

// 0 when the free slices lie as well as they could beside instances like these, 1 when nothing of
// what could fit does.
double Fragmentation(const GpuModel& model, std::span<const Placement> busy);

// The `count` of all removable ones whose leaving at once leaves the most. Exact: every subset of
// each GPU's. At most all of them; ordered by GPU and index.
std::vector<Tenant> ChooseVictims(std::span<const Tenants> gpus, size_t count);

// Every removable one, in the order in which they had better leave one at a time. What is chosen at
// once can be better, because this order has to be good after each step.
std::vector<Tenant> OrderVictims(std::span<const Tenants> gpus);

// OrderVictims as values for the annotation `controller.kubernetes.io/pod-deletion-cost`, where the
// least goes first: costs[gpu][index], from 0 in steps of one.
std::vector<std::vector<int32_t>> DeletionCosts(std::span<const Tenants> gpus);

struct Vacancy {
  size_t gpu = 0;
  Placement placement = {};
};

// The index of the vacancy whose taking leaves the most; nothing is lost by taking it first.
// `vacancies` is not empty, and each fits.
size_t ChooseVacancy(std::span<const Tenants> gpus, std::span<const Vacancy> vacancies);

}  // namespace tepal::mig
