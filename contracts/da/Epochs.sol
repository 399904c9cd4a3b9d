// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {BN254, G1Point} from "../lib/BN254.sol";
import {DataContract} from "../lib/DataContract.sol";
import {IRandomness} from "../randomness/IRandomness.sol";
import {Assignment} from "./Assignment.sol";
import {IDAEpochs} from "./IDAEpochs.sol";
import {MemberCode} from "./MemberCode.sol";
import {RowShares} from "./RowShares.sol";
import {Signers} from "./Signers.sol";

/// @title Epochs
/// @notice Built in two passes over the active signers, of as many steps per call as the caller wants: first their stakes are read, as shares follow from
/// the sum, then they are written down. The seed is drawn when everything else is settled, so that nobody can choose a stake by what rows it gets.
abstract contract Epochs is IDAEpochs, Signers {
    /// One slot: all that most certificates need to know, and what they leave for the next seed.
    struct Head {
        uint32 epoch;
        uint40 startedAt;
        uint16 members;
        uint96 totalWeight;
        /// Bits of the hash of the last certificate's signatures.
        uint72 lastCertificate;
    }

    /// Four slots, and one for each chunk of members.
    struct EpochRecord {
        uint40 startedAt;
        uint16 members;
        uint8 codes;
        bool committees;
        uint96 totalWeight;
        bytes32 seed;
        G1Point aggregateKey;
        mapping(uint256 chunk => address) chunks;
    }

    /// The epoch after the current one, as far as it is built.
    struct Building {
        /// When the first stake was read (unix seconds); 0: nothing is being built.
        uint40 since;
        /// All stakes are read.
        bool weighed;
        /// Index of the next signer to read or to write.
        uint16 next;
        uint96 totalWeight;
        /// Sums over those that are written.
        uint96 weight;
        uint32[5] rows;
        G1Point key;
    }

    /// @custom:storage-location erc7201:perigee.storage.Epochs
    struct EpochsStorage {
        Head head;
        uint32 minSigners;
        Building building;
        mapping(uint256 epoch => EpochRecord) records;
    }

    /// @notice Seconds in which an epoch must be built. Stake that was read must not leave before its last certificate can't be challenged any more:
    /// see `bondDelay`.
    uint256 internal constant BUILD_TIME = 1 days;
    /// @notice After as many epochs' lengths nothing is certified any more.
    uint256 internal constant CERTIFIABLE_EPOCHS = 4;

    bytes32 private constant STORAGE = bytes32(erc7201("perigee.storage.Epochs"));

    /// @custom:oz-upgrades-unsafe-allow state-variable-immutable
    IRandomness private immutable _randomness;
    /// @inheritdoc IDAEpochs
    /// @custom:oz-upgrades-unsafe-allow state-variable-immutable
    uint64 public immutable epochLength;

    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor(address randomness, uint64 epochLength_) {
        require(epochLength_ != 0 && epochLength_ <= 30 days, InvalidEpochLength(epochLength_));
        _randomness = IRandomness(randomness);
        epochLength = epochLength_;
    }

    function __Epochs_init(uint32 minSigners_) internal onlyInitializing {
        _setMinSigners(minSigners_);
    }

    // ---- building

    /// @inheritdoc IDAEpochs
    function advance(uint256 steps) external returns (bool started) {
        EpochsStorage storage $ = _epochsStorage();
        Building memory building = $.building;
        if (building.since == 0) _checkDue($);
        if (building.since == 0 || block.timestamp >= building.since + BUILD_TIME) {
            delete building;
            building.since = uint40(block.timestamp);
        }
        if (!building.weighed) steps = _weighAll(building, steps);
        uint256 count = activeSigners();
        if (building.weighed) {
            if (count < $.minSigners) {
                delete $.building;
                return false;
            }
            _writeMembers($.records[$.head.epoch + 1], building, count, steps);
            started = building.next == count;
        }
        if (started) _start($, building);
        else $.building = building;
    }

    function _checkDue(EpochsStorage storage $) private view {
        uint64 dueAt = nextEpochAt();
        require(block.timestamp >= dueAt, EpochNotDue(dueAt));
        uint256 active = activeSigners();
        require(active >= $.minSigners, TooFewSigners(active, $.minSigners));
    }

    /// Reads the stake of `steps` signers, and gives how many steps are left.
    function _weighAll(Building memory building, uint256 steps) private returns (uint256 left) {
        uint256 index = building.next;
        for (left = steps; left != 0 && index < activeSigners(); --left) {
            uint256 weight = _weigh(index);
            if (weight == 0) continue; // another one is at this index now
            // All bonds together are no more than all money.
            building.totalWeight += uint96(weight);
            ++index;
        }
        building.weighed = index == activeSigners();
        building.next = building.weighed ? 0 : uint16(index);
    }

    function _writeMembers(EpochRecord storage record, Building memory building, uint256 count, uint256 steps) private {
        for (uint256 left = steps; left != 0 && building.next < count;) {
            uint256 chunk = building.next / MemberCode.PER_CHUNK;
            uint256 length = Math.min(count - building.next, MemberCode.PER_CHUNK);
            record.chunks[chunk] = _writeChunk(building, length);
            left = Math.saturatingSub(left, length);
        }
    }

    function _writeChunk(Building memory building, uint256 length) private returns (address) {
        bytes memory chunk = new bytes(length * MemberCode.SIZE);
        Member memory member;
        for (uint256 position = 0; position < length; ++position) {
            _nextMember(building, member);
            MemberCode.put(chunk, position, member);
        }
        return DataContract.write(chunk);
    }

    /// Fills in the member that comes next, and adds it to the sums.
    function _nextMember(Building memory building, Member memory member) private view {
        Registration storage registration;
        (member.id, registration) = _weighed(building.next);
        (member.account, member.weight) = (registration.account, registration.weight);
        (member.key.x, member.key.y) = (registration.key.x, registration.key.y);
        member.firstWeight = building.weight;
        for (uint256 code = 0; code < RowShares.CODES; ++code) {
            member.firstSlot[code] = building.rows[code];
            building.rows[code] += uint32(RowShares.rowsOf(code, member.weight, building.totalWeight));
        }
        building.weight += member.weight;
        ++building.next;
        // Of keys that were checked when they were registered.
        assert(BN254.addTo(building.key, member.key.x, member.key.y));
    }

    function _start(EpochsStorage storage $, Building memory building) private {
        uint8 codes = 0;
        for (uint256 code = 0; code < RowShares.CODES; ++code)
            if (building.rows[code] <= RowShares.totalRows(code)) codes |= uint8(1 << code);
        Head memory head = $.head;
        uint32 epoch = head.epoch + 1;
        bytes32 contribution = bytes32(uint256(head.lastCertificate));
        head = Head(epoch, uint40(block.timestamp), building.next, building.totalWeight, head.lastCertificate);
        $.head = head;
        EpochRecord storage record = $.records[epoch];
        record.startedAt = head.startedAt;
        record.members = building.next;
        record.committees = codes == 0;
        record.codes = codes == 0 ? uint8(1 << RowShares.COMMITTEE_CODE) : codes;
        record.totalWeight = building.totalWeight;
        record.aggregateKey = building.key;
        delete $.building;
        bytes32 seed = _randomness.draw(contribution);
        record.seed = seed;
        emit EpochStarted(epoch, seed, building.next, building.totalWeight, record.codes);
    }

    function _checkNotBuilding() internal view override {
        EpochsStorage storage $ = _epochsStorage();
        require($.building.since == 0, EpochBeingBuilt($.head.epoch + 1));
    }

    // ---- parameters

    /// @inheritdoc IDAEpochs
    function setMinSigners(uint32 minSigners_) external restricted {
        _setMinSigners(minSigners_);
    }

    function _setMinSigners(uint32 minSigners_) private {
        // Nobody is two thirds of nobody.
        require(minSigners_ != 0, ZeroMinSigners());
        _epochsStorage().minSigners = minSigners_;
        emit MinSignersChanged(minSigners_);
    }

    // ---- reading

    /// @inheritdoc IDAEpochs
    function currentEpoch() external view returns (uint64) {
        return _epochsStorage().head.epoch;
    }

    /// @inheritdoc IDAEpochs
    function nextEpochAt() public view returns (uint64) {
        Head memory head = _epochsStorage().head;
        return head.epoch == 0 ? 0 : head.startedAt + epochLength;
    }

    /// @inheritdoc IDAEpochs
    function minSigners() external view returns (uint32) {
        return _epochsStorage().minSigners;
    }

    /// @inheritdoc IDAEpochs
    function epochInfo(uint64 epoch) external view returns (Epoch memory) {
        EpochRecord storage record = _epochsStorage().records[epoch];
        return
            Epoch({
                startedAt: record.startedAt,
                members: record.members,
                codes: record.codes,
                committees: record.committees,
                totalWeight: record.totalWeight,
                seed: record.seed,
                aggregateKey: record.aggregateKey
            });
    }

    /// @inheritdoc IDAEpochs
    function members(uint64 epoch, uint256 from, uint256 count) external view returns (Member[] memory found) {
        EpochRecord storage record = _recordOf(epoch);
        uint256 total = record.members;
        count = Math.min(count, Math.saturatingSub(total, from));
        found = new Member[](count);
        for (uint256 i = 0; i < count; ++i) found[i] = _member(record, from + i);
    }

    /// @inheritdoc IDAEpochs
    function holds(uint64 epoch, uint256 index, bytes32 blobId, uint8 log2K, uint32 row) external view returns (bool) {
        return _holder(_recordOf(epoch), index, blobId, log2K, row) != address(0);
    }

    /// @dev The account of member `index` if it must hold `row`, otherwise zero.
    function _holder(
        EpochRecord storage record,
        uint256 index,
        bytes32 blobId,
        uint8 log2K,
        uint32 row
    ) internal view returns (address account) {
        uint256 code = RowShares.codeOf(log2K);
        (uint256 totalWeight, bool committees) = (record.totalWeight, record.committees);
        {
            (uint256 members_, uint256 codes) = (record.members, record.codes);
            require((codes >> code) & 1 == 1, InvalidCode(log2K));
            if (index >= members_ || row >= RowShares.totalRows(code)) return address(0);
        }
        bytes32 key = Assignment.keyOf(record.seed, blobId);
        uint256 slot = Assignment.slotOf(key, log2K + 2, row);
        MemberCode.Share memory share = MemberCode.shareOf(
            record.chunks[index / MemberCode.PER_CHUNK],
            index % MemberCode.PER_CHUNK,
            code
        );
        bool isHolder =
            committees
                ? _hasSeat(share, slot, key, totalWeight)
                : _hasSlot(share, slot, RowShares.rowsOf(code, share.weight, totalWeight));
        return isHolder ? share.account : address(0);
    }

    /// Whether the share of so many rows has `slot`.
    function _hasSlot(MemberCode.Share memory share, uint256 slot, uint256 rows) private pure returns (bool) {
        // 2^17 at most.
        unchecked {
            return slot >= share.firstSlot && slot < share.firstSlot + rows;
        }
    }

    /// Whether the seat that `slot` is of was drawn by the member.
    function _hasSeat(
        MemberCode.Share memory share,
        uint256 slot,
        bytes32 key,
        uint256 totalWeight
    ) private pure returns (bool) {
        uint256 seat = slot / Assignment.SLOTS_PER_SEAT;
        if (seat >= Assignment.SEATS) return false;
        uint256 point = Assignment.pointOf(key, seat, totalWeight);
        // 2^97 wei at most.
        unchecked {
            return point >= share.firstWeight && point < share.firstWeight + share.weight;
        }
    }

    function _member(EpochRecord storage record, uint256 index) private view returns (Member memory) {
        return MemberCode.get(record.chunks[index / MemberCode.PER_CHUNK], index % MemberCode.PER_CHUNK);
    }

    function _recordOf(uint64 epoch) private view returns (EpochRecord storage record) {
        record = _epochsStorage().records[epoch];
        require(record.startedAt != 0, UnknownEpoch(epoch));
    }

    function _epochsStorage() internal pure returns (EpochsStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
