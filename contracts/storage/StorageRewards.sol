// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IStorageRewards} from "./IStorageRewards.sol";

/// @title Rewards of storage miners
/// @notice Holds the fees of the log, one account per pricing chunk, until a proof over that chunk earns them. Immutable: it
/// only holds money, and its rules are these few lines. The balance is the sum of all chunks, the base pool and all payments.
contract StorageRewards is IStorageRewards, AccessManaged {
    using SafeCast for uint256;

    /// One slot. At `updated`, `claimable` was released and `locked` was to be released evenly until `end` (unix seconds).
    struct Chunk {
        uint96 claimable;
        uint96 locked;
        uint32 updated;
        uint32 end;
    }

    /// One slot, read by every fill.
    struct ServiceFee {
        address treasury;
        uint16 basisPoints;
    }

    /// One slot, read by every claim.
    struct BasePool {
        uint128 balance;
        uint128 perClaim;
    }

    /// @notice Highest service fee, in basis points of a payment.
    uint256 public constant MAX_SERVICE_FEE = 2_500;
    /// @notice Most chunks that one payment is spread over, which bounds the gas of a fill.
    uint256 public constant MAX_CHUNKS_PER_FILL = 64;
    /// Sectors of a load, the unit a nonce recalls: a chunk holds at least one.
    uint256 private constant MIN_CHUNK_SECTORS = 1024;
    uint256 private constant BASIS_POINTS = 10_000;

    /// @notice The only contract that may claim.
    address public immutable mine;
    uint256 private immutable _chunkHeight;
    uint256 private immutable _releaseSeconds;

    ServiceFee private _serviceFee;
    BasePool private _basePool;
    mapping(uint256 pricingIndex => Chunk) private _chunks;
    mapping(address account => uint256 amount) private _payments;

    /// @param authority the AccessManager
    /// @param mine_ the proof of random access contract
    /// @param chunkSectors_ sectors of a pricing chunk: a power of two, at least 1024 (8 GiB are 2^25)
    /// @param releaseSeconds_ seconds over which a payment is released
    constructor(
        address authority,
        address mine_,
        uint256 chunkSectors_,
        uint256 releaseSeconds_
    ) AccessManaged(authority) {
        _chunkHeight = Math.log2(chunkSectors_);
        require(
            chunkSectors_ >= MIN_CHUNK_SECTORS && chunkSectors_ == 1 << _chunkHeight,
            InvalidChunkSectors(chunkSectors_)
        );
        require(releaseSeconds_ != 0 && releaseSeconds_ <= 3650 days, InvalidReleaseSeconds(releaseSeconds_));
        mine = mine_;
        _releaseSeconds = releaseSeconds_;
    }

    // ---- money in

    /// @inheritdoc IStorageRewards
    function fill(uint256 startPos, uint256 sectors) external payable {
        require(
            sectors != 0 && sectors <= type(uint64).max && startPos <= type(uint64).max,
            InvalidRange(startPos, sectors)
        );
        uint256 amount = msg.value - _chargeServiceFee(msg.value);
        uint256 first = startPos >> _chunkHeight;
        uint256 count = ((startPos + sectors - 1) >> _chunkHeight) - first + 1;
        if (count == 1) _fillChunk(first, amount);
        else if (count <= MAX_CHUNKS_PER_FILL) _fillBySectors(first, count, startPos, sectors, amount);
        else _fillSpread(first, count, amount);
    }

    /// Each chunk gets its part by sectors; roundings go to the last.
    function _fillBySectors(uint256 first, uint256 count, uint256 startPos, uint256 sectors, uint256 amount) private {
        uint256 from = startPos;
        uint256 left = amount;
        for (uint256 i = 0; i < count - 1; ++i) {
            uint256 next = (first + i + 1) << _chunkHeight;
            uint256 part = (amount * (next - from)) / sectors;
            _fillChunk(first + i, part);
            left -= part;
            from = next;
        }
        _fillChunk(first + count - 1, left);
    }

    /// Too many chunks to write to: equal parts go to MAX_CHUNKS_PER_FILL of them, evenly spaced. Nonces recall at random
    /// over the log, so miners earn the same on average. An odd stride visits all shards alike, as their number is a power of two.
    function _fillSpread(uint256 first, uint256 count, uint256 amount) private {
        uint256 stride = (count / MAX_CHUNKS_PER_FILL - 1) | 1;
        uint256 part = amount / MAX_CHUNKS_PER_FILL;
        for (uint256 i = 1; i < MAX_CHUNKS_PER_FILL; ++i) _fillChunk(first + i * stride, part);
        _fillChunk(first, amount - part * (MAX_CHUNKS_PER_FILL - 1));
    }

    /// One end for all that is locked: the average of the old and the new, weighted by amount, so the older fee is released a
    /// little later and the newer a little earlier. Rounding down keeps payments of dust from moving it.
    function _fillChunk(uint256 pricingIndex, uint256 amount) private {
        if (amount == 0) return;
        Chunk memory chunk = _released(pricingIndex);
        uint256 end = block.timestamp + _releaseSeconds;
        if (chunk.locked != 0) {
            uint256 locked = chunk.locked;
            end = (locked * chunk.end + amount * end) / (locked + amount);
        }
        // What was released before counts too, so that a release always fits.
        uint256 total = uint256(chunk.claimable) + chunk.locked + amount;
        require(total <= type(uint96).max, AmountTooLarge(total));
        chunk.locked += uint96(amount);
        chunk.end = end.toUint32();
        _chunks[pricingIndex] = chunk;
        emit Filled(pricingIndex, amount);
    }

    function _chargeServiceFee(uint256 value) private returns (uint256 fee) {
        ServiceFee memory serviceFee_ = _serviceFee;
        fee = (value * serviceFee_.basisPoints) / BASIS_POINTS;
        if (fee != 0) _payments[serviceFee_.treasury] += fee;
    }

    /// @inheritdoc IStorageRewards
    function donate() external payable {
        _basePool.balance += msg.value.toUint128();
        emit Donated(msg.sender, msg.value);
    }

    // ---- money out

    /// @inheritdoc IStorageRewards
    function claimMineReward(
        uint256 pricingIndex,
        address beneficiary,
        bytes32 minerId
    ) external returns (uint256 amount) {
        require(msg.sender == mine, NotMine(msg.sender));
        Chunk memory chunk = _released(pricingIndex);
        if (chunk.end == 0) return 0;
        uint256 half = chunk.claimable / 2;
        chunk.claimable -= uint96(half);
        _chunks[pricingIndex] = chunk;
        BasePool memory pool = _basePool;
        uint256 base = _baseRewardOf(chunk, pool);
        if (base != 0) _basePool.balance = pool.balance - uint128(base);
        amount = half + base;
        if (amount == 0) return 0;
        _payments[beneficiary] += amount;
        emit DistributeReward(pricingIndex, beneficiary, minerId, amount);
    }

    /// @inheritdoc IStorageRewards
    function claimable(uint256 pricingIndex) external view returns (uint256) {
        Chunk memory chunk = _released(pricingIndex);
        return chunk.claimable / 2 + _baseRewardOf(chunk, _basePool);
    }

    /// @inheritdoc IStorageRewards
    function withdrawPayments(address payable payee) external {
        uint256 amount = _payments[payee];
        require(amount != 0, NothingToWithdraw(payee));
        delete _payments[payee];
        emit PaymentWithdrawn(payee, amount);
        require(LowLevelCall.callNoReturn(payee, amount, ""), WithdrawFailed(payee, amount));
    }

    // ---- parameters

    /// @inheritdoc IStorageRewards
    function setBaseReward(uint256 amount) external restricted {
        _basePool.perClaim = amount.toUint128();
        emit BaseRewardSet(amount);
    }

    /// @inheritdoc IStorageRewards
    function setServiceFee(uint256 basisPoints, address treasury) external restricted {
        require(basisPoints <= MAX_SERVICE_FEE, ServiceFeeTooHigh(basisPoints, MAX_SERVICE_FEE));
        require(basisPoints == 0 || treasury != address(0), InvalidTreasury(treasury));
        _serviceFee = ServiceFee({treasury: treasury, basisPoints: uint16(basisPoints)});
        emit ServiceFeeSet(basisPoints, treasury);
    }

    // ---- reading

    /// @inheritdoc IStorageRewards
    function payments(address account) external view returns (uint256) {
        return _payments[account];
    }

    /// @inheritdoc IStorageRewards
    function baseReward() external view returns (uint256) {
        return _basePool.perClaim;
    }

    /// @inheritdoc IStorageRewards
    function totalBaseReward() external view returns (uint256) {
        return _basePool.balance;
    }

    /// @inheritdoc IStorageRewards
    function serviceFee() external view returns (uint256 basisPoints, address treasury) {
        return (_serviceFee.basisPoints, _serviceFee.treasury);
    }

    /// @inheritdoc IStorageRewards
    function chunkOf(uint256 pricingIndex) external view returns (uint256 locked, uint256 released, uint256 end) {
        Chunk memory chunk = _released(pricingIndex);
        return (chunk.locked, chunk.claimable, chunk.end);
    }

    /// @inheritdoc IStorageRewards
    function chunkSectors() external view returns (uint256) {
        return 1 << _chunkHeight;
    }

    /// @inheritdoc IStorageRewards
    function releaseSeconds() external view returns (uint256) {
        return _releaseSeconds;
    }

    /// The chunk as of now.
    function _released(uint256 pricingIndex) private view returns (Chunk memory chunk) {
        chunk = _chunks[pricingIndex];
        uint256 released = chunk.locked;
        if (block.timestamp < chunk.end) {
            released = (released * (block.timestamp - chunk.updated)) / (chunk.end - chunk.updated);
        }
        chunk.claimable += uint96(released);
        chunk.locked -= uint96(released);
        chunk.updated = block.timestamp.toUint32();
    }

    /// A chunk pays the base reward while some of its fees are still to be released.
    function _baseRewardOf(Chunk memory chunk, BasePool memory pool) private view returns (uint256) {
        return block.timestamp < chunk.end ? Math.min(pool.perClaim, pool.balance) : 0;
    }
}
