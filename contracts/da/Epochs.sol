// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {BN254, G1Point} from "../lib/BN254.sol";
import {DataContract} from "../lib/DataContract.sol";
import {IRandomness} from "../randomness/IRandomness.sol";
import {Assignment} from "./Assignment.sol";
import {Committee, SEATS} from "./Committee.sol";
import {IDAEpochs} from "./IDAEpochs.sol";
import {MemberCode} from "./MemberCode.sol";
import {RowShares} from "./RowShares.sol";
import {Signers} from "./Signers.sol";

/// @title Epochs
/// @notice Built in passes over the active signers, of as many steps per call as the caller wants: first their stakes are read, as shares follow from
/// the sum; then, where they are too many for any code, seats are drawn; then members are written down. Seats are drawn by a seed of a later block than
/// that in which the last stake was read: who makes a block knows its randomness, and would choose a stake by the seats it gets.
abstract contract Epochs is IDAEpochs, Signers {
    /// One slot: all that most certificates need to know, and what they leave for the next seed.
    struct Head {
        uint32 epoch;
        uint40 startedAt;
        uint16 members;
        uint96 totalWeight;
        /// Bits of the hash of the last certificate's signatures: of any of this epoch or the one before.
        uint72 lastCertificate;
    }

    /// Four slots, and one for each chunk of members.
    struct EpochRecord {
        uint40 startedAt;
        uint16 members;
        uint8 codes;
        bool committee;
        uint96 totalWeight;
        /// To the seed of the next epoch: of the last certificate before this one began. A later one could be chosen by the seed it makes.
        uint72 contribution;
        bytes32 seed;
        G1Point aggregateKey;
        mapping(uint256 chunk => address) chunks;
    }

    enum Phase {
        None,
        Weighing,
        Drawing,
        Writing
    }

    /// The epoch after the current one, as far as it is built.
    struct Building {
        Phase phase;
        bytes32 seed;
        /// Sums over those that are written.
        G1Point key;
        uint32[5] rows;
        uint96 totalWeight;
        /// Stakes of those for whom seats were drawn.
        uint96 drawnStake;
        /// When the first stake was read (unix seconds).
        uint40 since;
        /// Index of the next signer to read or draw, or of the next member to write.
        uint16 next;
        uint16 members;
        /// Weights are seats.
        bool committee;
        /// The block in which the last stake was read.
        uint40 readIn;
    }

    /// @custom:storage-location erc7201:perigee.storage.Epochs
    struct EpochsStorage {
        Head head;
        uint32 minSigners;
        Building building;
        mapping(uint256 epoch => EpochRecord) records;
        /// Id and seats (32 bits each) of the members of a committee that is being built.
        mapping(uint256 member => uint256) drawn;
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
        if (building.phase == Phase.None) _checkDue($);
        if (building.phase == Phase.None || block.timestamp >= building.since + BUILD_TIME) {
            delete building;
            (building.since, building.phase) = (uint40(block.timestamp), Phase.Weighing);
        }
        if (building.phase == Phase.Weighing) steps = _weighAll($, building, steps);
        // Steps are left only when all stakes are read.
        if (building.seed == 0 && steps != 0) steps = _drawSeed($, building, steps);
        if (building.phase == Phase.Drawing) steps = _drawAll($, building, steps);
        if (building.phase == Phase.Writing) started = _writeAll($, building, steps);
        if (started) _start($, building);
        else $.building = building;
    }

    function _checkDue(EpochsStorage storage $) private view {
        uint64 dueAt = nextEpochAt();
        require(block.timestamp >= dueAt, EpochNotDue(dueAt));
        uint256 active = activeSigners();
        require(active >= $.minSigners, TooFewSigners(active, $.minSigners));
    }

    /// Reads the stakes of as many signers as there are steps, and gives how many steps are left.
    function _weighAll(
        EpochsStorage storage $,
        Building memory building,
        uint256 steps
    ) private returns (uint256 left) {
        uint256 index = building.next;
        for (left = steps; left != 0 && index < activeSigners(); --left) {
            uint256 weight = _weigh(index);
            if (weight == 0) continue; // another one is at this index now
            // All bonds together are no more than all money.
            building.totalWeight += uint96(weight);
            ++index;
        }
        building.next = uint16(index);
        uint256 count = activeSigners();
        if (index < count) return left;
        if (count < $.minSigners) {
            building.phase = Phase.None;
            return 0;
        }
        (building.next, building.members) = (0, uint16(count));
        building.readIn = uint40(block.number);
        // Each has its least rows: of more, not all fit.
        if (count > SEATS) {
            _beginDrawing(building);
            return 0;
        }
        building.phase = Phase.Writing;
    }

    /// Gives how many steps are left: none where the seed takes a while. Where everybody is a member, nothing is to be gained by choosing a seed: whoever
    /// makes a blob can choose its id as well.
    function _drawSeed(
        EpochsStorage storage $,
        Building memory building,
        uint256 steps
    ) private returns (uint256 left) {
        require(!building.committee || block.number > building.readIn, StakesJustRead(building.readIn));
        bytes32 contribution = bytes32(uint256($.records[$.head.epoch].contribution));
        building.seed = _randomness.draw(contribution, building.since);
        return building.seed == 0 ? 0 : steps;
    }

    function _beginDrawing(Building memory building) private pure {
        (building.phase, building.committee) = (Phase.Drawing, true);
        (building.next, building.members) = (0, 0);
        (building.key.x, building.key.y) = (0, 0);
        delete building.rows;
        // Of a smaller epoch, if there is one: it may be of the block in which stakes were read.
        building.seed = 0;
    }

    /// Draws the seats of as many signers as there are steps, and gives how many steps are left.
    function _drawAll(EpochsStorage storage $, Building memory building, uint256 steps) private returns (uint256 left) {
        uint256 count = activeSigners();
        for (left = steps; left != 0 && building.next < count; --left) {
            uint32 id = _activeAt(building.next++);
            uint96 stake = _registrationOf(id).weight;
            uint256 seats = Committee.seatsOf(building.seed, building.drawnStake, stake, building.totalWeight);
            building.drawnStake += stake;
            if (seats != 0) $.drawn[building.members++] = (uint256(id) << 32) | seats;
        }
        if (building.next < count) return left;
        (building.phase, building.next) = (Phase.Writing, 0);
        building.totalWeight = uint96(SEATS);
    }

    /// Writes members, and says whether all are written and share a code.
    function _writeAll(EpochsStorage storage $, Building memory building, uint256 steps) private returns (bool) {
        EpochRecord storage record = $.records[$.head.epoch + 1];
        for (uint256 left = steps; left != 0 && building.next < building.members;) {
            uint256 chunk = building.next / MemberCode.PER_CHUNK;
            uint256 length = Math.min(building.members - building.next, MemberCode.PER_CHUNK);
            record.chunks[chunk] = _writeChunk($, building, length);
            left = Math.saturatingSub(left, length);
        }
        if (building.next < building.members) return false;
        if (_codesOf(building) != 0) return true;
        // So many least rows that they don't fit beside the large shares.
        _beginDrawing(building);
        return false;
    }

    function _writeChunk(EpochsStorage storage $, Building memory building, uint256 length) private returns (address) {
        bytes memory chunk = new bytes(length * MemberCode.SIZE);
        Member memory member;
        for (uint256 position = 0; position < length; ++position) {
            _nextMember($, building, member);
            MemberCode.put(chunk, position, member);
        }
        return DataContract.write(chunk);
    }

    /// Fills in the member that comes next, and adds it to the sums.
    function _nextMember(EpochsStorage storage $, Building memory building, Member memory member) private view {
        uint256 drawn = building.committee ? $.drawn[building.next] : 0;
        member.id = building.committee ? uint32(drawn >> 32) : _activeAt(building.next);
        Registration storage registration = _registrationOf(member.id);
        member.account = registration.account;
        member.weight = building.committee ? uint32(drawn) : registration.weight;
        (member.key.x, member.key.y) = (registration.key.x, registration.key.y);
        for (uint256 code = 0; code < RowShares.CODES; ++code) {
            member.firstSlot[code] = building.rows[code];
            building.rows[code] += uint32(RowShares.rowsOf(code, member.weight, building.totalWeight));
        }
        ++building.next;
        // Of keys that were checked when they were registered.
        assert(BN254.addTo(building.key, member.key.x, member.key.y));
    }

    function _codesOf(Building memory building) private pure returns (uint8 codes) {
        for (uint256 code = 0; code < RowShares.CODES; ++code)
            if (building.rows[code] <= RowShares.totalRows(code)) codes |= uint8(1 << code);
    }

    function _start(EpochsStorage storage $, Building memory building) private {
        Head memory head = $.head;
        uint32 epoch = head.epoch + 1;
        head = Head(epoch, uint40(block.timestamp), building.members, building.totalWeight, head.lastCertificate);
        $.head = head;
        EpochRecord storage record = $.records[epoch];
        record.startedAt = head.startedAt;
        record.members = building.members;
        record.committee = building.committee;
        uint8 codes = _codesOf(building);
        record.codes = codes;
        record.totalWeight = building.totalWeight;
        record.contribution = head.lastCertificate;
        record.aggregateKey = building.key;
        record.seed = building.seed;
        delete $.building;
        emit EpochStarted(epoch, building.seed, building.members, building.totalWeight, codes);
    }

    function _checkNotBuilding() internal view override {
        EpochsStorage storage $ = _epochsStorage();
        require($.building.phase == Phase.None, EpochBeingBuilt($.head.epoch + 1));
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
                committee: record.committee,
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
        (uint256 members_, uint256 totalWeight, uint256 codes) = (record.members, record.totalWeight, record.codes);
        uint256 code = RowShares.codeOf(log2K);
        require((codes >> code) & 1 == 1, InvalidCode(log2K));
        if (index >= members_ || row >= RowShares.totalRows(code)) return address(0);
        uint256 slot = Assignment.slotOf(Assignment.keyOf(record.seed, blobId), log2K + 2, row);
        MemberCode.Share memory share = MemberCode.shareOf(
            record.chunks[index / MemberCode.PER_CHUNK],
            index % MemberCode.PER_CHUNK,
            code
        );
        // 2^17 at most.
        unchecked {
            uint256 end = share.firstSlot + RowShares.rowsOf(code, share.weight, totalWeight);
            return slot >= share.firstSlot && slot < end ? share.account : address(0);
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
