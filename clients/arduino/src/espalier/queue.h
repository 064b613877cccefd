// Samples that wait for the server: in memory first, in a few blocks of storage when they become many, oldest first out.
// It knows no network. What does not fit any more is dropped from the old end, and counted.
#ifndef ESPALIER_QUEUE_H
#define ESPALIER_QUEUE_H

#include "board.h"
#include "json.h"

namespace espalier {

/// CRC-32 as in zip and PNG.
inline uint32_t crc32(const char* bytes, size_t count) {
  uint32_t crc = 0xFFFFFFFFu;
  for (size_t i = 0; i < count; i++) {
    crc ^= static_cast<unsigned char>(bytes[i]);
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ ((crc & 1) ? 0xEDB88320u : 0);
  }
  return crc ^ 0xFFFFFFFFu;
}

/// Memory holds up to RamBytes of samples, a block (and a request) up to BlockBytes.
template <size_t RamBytes, size_t BlockBytes>
class Queue {
 public:
  static const size_t kAll = ~static_cast<size_t>(0);

  Queue() : storage_(NULL), used_(0), count_(0), taken_(0), first_(0), next_(0), done_(0), block_size_(0), block_count_(0), from_slot_(false), lost_(0) {}

  /// Takes up what an earlier run left in storage.
  void begin(Storage* storage) {
    storage_ = storage;
    first_ = next_ = 0;
    done_ = 0;
    bool any = false;
    for (size_t slot = 0; storage_ != NULL && slot < storage_->slots(); slot++) {
      uint32_t number = 0;
      if (!load_slot(slot, number) || number % storage_->slots() != slot) continue;
      if (!any || static_cast<int32_t>(number - first_) < 0) first_ = number;
      if (!any || static_cast<int32_t>(number + 1 - next_) > 0) next_ = number + 1;
      any = true;
    }
    // Numbers that lie further apart than there are places are not of one run; the newest ones count.
    if (any && next_ - first_ > storage_->slots()) first_ = next_ - static_cast<uint32_t>(storage_->slots());
    block_size_ = block_count_ = 0;
  }

  /// Takes one sample: an object of keys and values, and when it was measured (milliseconds UTC when `dated`, else of uptime).
  /// False when it is too large to be ever sent.
  bool add(int64_t time, bool dated, Slice data) {
    const size_t size = sizeof(Head) + data.size;
    if (size > RamBytes || data.size + kFrame > BlockBytes) {
      lost_++;
      return false;
    }
    if (RamBytes - used_ < size) spill(false);
    while (RamBytes - used_ < size) drop_oldest();
    Head head;
    head.time = time;
    head.size = static_cast<uint16_t>(data.size);
    head.dated = dated ? 1 : 0;
    memcpy(ram_ + used_, &head, sizeof head);
    memcpy(ram_ + used_ + sizeof head, data.data, data.size);
    used_ += size;
    count_++;
    return true;
  }

  /// Gives every sample that has none its time, now that the difference between UTC and uptime is known. It is done once and in
  /// place, so that a sample that is sent twice has the same time twice.
  void date(int64_t utc_minus_uptime) {
    for (size_t at = 0; at < used_;) {
      Head head;
      memcpy(&head, ram_ + at, sizeof head);
      if (!head.dated) {
        head.time += utc_minus_uptime;
        head.dated = 1;
        memcpy(ram_ + at, &head, sizeof head);
      }
      at += sizeof head + head.size;
    }
  }

  /// Puts the oldest samples together, at most so many, as `{"ts":…,"data":{…}},…`; false when there are none that have a time.
  bool load(size_t most = kAll) {
    block_size_ = block_count_ = taken_ = 0;
    from_slot_ = false;
    while (first_ != next_) {
      uint32_t number = 0;
      if (load_slot(first_ % storage_->slots(), number) && number == first_ && cut_out(most)) {
        from_slot_ = true;
        return true;
      }
      // A block that was never written whole.
      skip_slot();
      block_size_ = block_count_ = 0;
    }
    Writer out(block_, BlockBytes);
    for (size_t at = 0; at < used_ && block_count_ < most;) {
      Head head;
      memcpy(&head, ram_ + at, sizeof head);
      if (!head.dated) break;
      const size_t before = out.size();
      if (before > 0) out.put(',');
      out.raw("{\"ts\":").integer(head.time).raw(",\"data\":").raw(ram_ + at + sizeof head, head.size).put('}');
      if (!out.ok()) {
        out.rewind(before);
        break;
      }
      at += sizeof head + head.size;
      taken_ = at;
      block_count_++;
    }
    block_size_ = out.size();
    return block_count_ > 0;
  }

  /// What load() put together.
  Slice block() const { return Slice(block_, block_size_); }
  size_t block_count() const { return block_count_; }

  /// Forgets what load() put together, because it is where it belongs.
  void delivered() {
    if (block_count_ == 0) return;
    if (from_slot_ && taken_ > 0) {
      // Only some of the block; after a restart it is sent whole again.
      done_ += block_count_;
    } else if (from_slot_) {
      storage_->erase(first_ % storage_->slots());
      skip_slot();
    } else {
      cut(taken_, block_count_);
    }
    block_size_ = block_count_ = taken_ = 0;
  }

  /// Moves samples from memory to storage while memory is more than half full, or with `all` until it is empty. For times without
  /// a server, and before a restart. False when something could not be moved.
  bool spill(bool all) {
    if (storage_ == NULL || storage_->slots() == 0) return count_ == 0;
    while (all ? used_ > 0 : used_ > RamBytes / 2) {
      // load() looks at storage first; here the samples in memory are wanted.
      const uint32_t first = first_;
      const size_t done = done_;
      first_ = next_;
      const bool any = load();
      first_ = first;
      done_ = done;
      if (!any || !save_block()) return false;
    }
    return true;
  }

  /// Samples that wait in memory.
  size_t in_memory() const { return count_; }
  /// Blocks that wait in storage.
  size_t in_storage() const { return static_cast<size_t>(next_ - first_); }
  bool empty() const { return count_ == 0 && first_ == next_; }
  /// Samples that were dropped since the start.
  uint32_t lost() const { return lost_; }

 private:
  struct Head {
    int64_t time;
    uint16_t size;
    uint8_t dated;
  };
  /// Bytes around the data of a sample: braces, names, a time of 20 digits, the NUL of the buffer.
  static const size_t kFrame = 40;
  /// Before the text of a block: magic, number, count, length, CRC of the number, the count and the text.
  static const size_t kHeader = 20;
  static const uint32_t kMagic = 0x31515345u;  // "ESQ1"

  void skip_slot() {
    first_++;
    done_ = 0;
  }

  /// Leaves of the block of a place only the samples that were not sent alone before, and at most so many. `taken_` says whether
  /// more follow.
  bool cut_out(size_t most) {
    const char* const end = block_ + block_size_;
    const char* from = block_;
    const char* to = block_;
    const size_t count = block_count_;
    block_count_ = 0;
    for (size_t i = 0; i < count; i++) {
      if (i == done_) from = to;
      if (i >= done_ && block_count_ == most) break;
      to = json::skip_value(to, end);
      if (to == NULL) return false;
      if (i >= done_) block_count_++;
      if (to < end) to++;
    }
    taken_ = to < end ? 1 : 0;
    block_size_ = static_cast<size_t>(to - from) - taken_;
    memmove(block_, from, block_size_);
    return block_count_ > 0;
  }

  void cut(size_t bytes, size_t samples) {
    memmove(ram_, ram_ + bytes, used_ - bytes);
    used_ -= bytes;
    count_ -= samples;
  }

  void drop_oldest() {
    Head head;
    memcpy(&head, ram_, sizeof head);
    cut(sizeof head + head.size, 1);
    lost_++;
  }

  static void put32(char* at, uint32_t number) {
    for (int i = 0; i < 4; i++) at[i] = static_cast<char>(number >> (8 * i));
  }
  static uint32_t get32(const char* at) {
    uint32_t number = 0;
    for (int i = 3; i >= 0; i--) number = number << 8 | static_cast<unsigned char>(at[i]);
    return number;
  }

  bool save_block() {
    const uint32_t slots = static_cast<uint32_t>(storage_->slots());
    if (next_ - first_ == slots) {
      uint32_t number = 0;
      char* spare = slot_;
      const size_t size = storage_->read(first_ % slots, spare, sizeof slot_);
      if (whole(size, number)) lost_ += get32(spare + 8) - static_cast<uint32_t>(done_);
      skip_slot();
    }
    put32(slot_, kMagic);
    put32(slot_ + 4, next_);
    put32(slot_ + 8, static_cast<uint32_t>(block_count_));
    put32(slot_ + 12, static_cast<uint32_t>(block_size_));
    memcpy(slot_ + kHeader, block_, block_size_);
    put32(slot_ + 16, sum(block_size_));
    if (!storage_->write(next_ % slots, slot_, kHeader + block_size_)) return false;
    next_++;
    cut(taken_, block_count_);
    block_size_ = block_count_ = taken_ = 0;
    return true;
  }

  uint32_t sum(size_t text) const { return crc32(slot_ + 4, 12) ^ crc32(slot_ + kHeader, text); }

  /// Whether `slot_` holds `size` bytes of a whole block.
  bool whole(size_t size, uint32_t& number) const {
    if (size < kHeader || get32(slot_) != kMagic) return false;
    const uint32_t length = get32(slot_ + 12);
    number = get32(slot_ + 4);
    return length == size - kHeader && length < BlockBytes && get32(slot_ + 16) == sum(length);
  }

  bool load_slot(size_t slot, uint32_t& number) {
    const size_t size = storage_->read(slot, slot_, sizeof slot_);
    if (!whole(size, number)) return false;
    block_count_ = get32(slot_ + 8);
    block_size_ = size - kHeader;
    memcpy(block_, slot_ + kHeader, block_size_);
    return block_count_ > 0;
  }

  Storage* storage_;
  char ram_[RamBytes];
  size_t used_;
  size_t count_;
  size_t taken_;
  uint32_t first_;
  uint32_t next_;
  /// Samples of the oldest place that were sent alone.
  size_t done_;
  char block_[BlockBytes];
  char slot_[kHeader + BlockBytes];
  size_t block_size_;
  size_t block_count_;
  bool from_slot_;
  uint32_t lost_;
};

}  // namespace espalier

#endif
