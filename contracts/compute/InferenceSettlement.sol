// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

// Types of EIP-712 are hashed when this is compiled.
// solhint-disable gas-small-strings

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {AccountSlot, AccountSlots} from "./AccountSlot.sol";
import {IInferenceSettlement, Outcome} from "./IInferenceSettlement.sol";
import {Price} from "./IInferencePrices.sol";
import {InferencePrices} from "./InferencePrices.sol";

/// @title Settlement of inference
/// @notice A signer signs once for many answers; the chain computes every fee itself, from units and the price in force.
abstract contract InferenceSettlement is IInferenceSettlement, InferencePrices {
    /// What a provider has earned and settled, in one slot. Nonces up to `markNonce` were settled before `markDay` (days since 1970).
    struct Book {
        uint96 earnings;
        uint48 lastNonce;
        uint48 markNonce;
        uint16 markDay;
        uint16 lastDay;
    }

    /// One slot, of users who set a ceiling.
    struct Ceiling {
        uint96 weiPerDay;
        uint96 spent;
        uint32 day;
    }

    /// A lower ceiling to come. `effectiveAt` 0: none.
    struct NextCeiling {
        uint96 weiPerDay;
        uint48 effectiveAt;
    }

    /// A batch while it is settled. The price is that of the last item.
    // solhint-disable-next-line gas-struct-packing
    struct Run {
        address provider;
        uint256 nonce;
        uint256 total;
        uint256 version;
        Price price;
        bool chargeable;
    }

    /// @custom:storage-location erc7201:perigee.storage.InferenceSettlement
    struct InferenceSettlementStorage {
        mapping(address provider => Book) books;
        mapping(address provider => uint256 nonce) olderMark;
        mapping(address provider => mapping(uint256 nonceWord => uint256 bits)) skipped;
        mapping(address provider => mapping(address user => Ceiling)) ceilings;
        mapping(address provider => mapping(address user => NextCeiling)) nextCeilings;
    }

    /// @notice Items of a batch.
    uint256 public constant MAX_SETTLEMENTS = 500;
    /// @notice How far a nonce can be beyond the last.
    uint256 public constant MAX_NONCE_STEP = 256;
    /// @notice Days for which a batch can be disputed, at least, and three times as many at most.
    uint256 public constant DISPUTE_DAYS = 7;

    bytes32 private constant DOMAIN_TYPE = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    );
    bytes32 private constant NAME_HASH = keccak256("Perigee Inference");
    bytes32 private constant VERSION_HASH = keccak256("1");
    bytes32 private constant BATCH_TYPE = keccak256(
        "SettlementBatch(address provider,uint64 nonce,bytes32 requestsHash,bytes32 itemsHash)"
    );
    uint256 private constant UNITS_MASK = type(uint40).max;

    bytes32 private constant STORAGE = bytes32(erc7201("perigee.storage.InferenceSettlement"));

    // ---- batches

    /// @inheritdoc IInferenceSettlement
    function settleBatch(
        address provider,
        uint64 nonce,
        bytes32 requestsHash,
        bytes32[] calldata items,
        bytes calldata signature
    ) external returns (bytes memory outcomes) {
        require(items.length != 0, NoSettlementsProvided());
        require(items.length <= MAX_SETTLEMENTS, TooManySettlements(items.length, MAX_SETTLEMENTS));
        bytes32 digest = batchDigest(provider, nonce, requestsHash, keccak256(abi.encodePacked(items)));
        (address signer, ECDSA.RecoverError problem, ) = ECDSA.tryRecover(digest, signature);
        require(problem == ECDSA.RecoverError.NoError, InvalidTEESignature("not a signature"));
        Run memory run;
        (run.provider, run.nonce) = (provider, nonce);
        _checkSettler(provider, signer);
        _checkStake(provider);

        uint128[] memory charged;
        (charged, outcomes) = _settleItems(run, items);
        _record(provider, nonce, run.total);
        emit BatchSettled(provider, nonce, requestsHash, items, charged, outcomes);
    }

    /// The signer's registration may have expired up to a lock time ago: what it signed before is not lost.
    function _checkSettler(address provider, address signer) private view {
        uint256 until = _attestedUntil(signer);
        // The lock time is read only where it matters.
        bool attested = until > block.timestamp || (until != 0 && until + lockTime() > block.timestamp);
        require(attested && signerUntil(provider, signer) >= block.timestamp, SignerNotAttested(provider, signer));
    }

    /// Advances the book of `provider`.
    function _record(address provider, uint64 nonce, uint256 total) private {
        InferenceSettlementStorage storage $ = _settlementStorage();
        Book memory book = $.books[provider];
        require(nonce > book.lastNonce, NonceNotNew(provider, nonce, book.lastNonce));
        uint256 most = Math.min(uint256(book.lastNonce) + MAX_NONCE_STEP, AccountSlots.MAX_NONCE);
        require(nonce <= most, NonceTooLarge(nonce, uint64(most)));
        for (uint256 n = uint256(book.lastNonce) + 1; n < nonce; ++n) $.skipped[provider][n >> 8] |= 1 << (n & 0xff);
        uint256 today = block.timestamp / 1 days;
        if (today > book.markDay + DISPUTE_DAYS) {
            $.olderMark[provider] = book.markNonce;
            (book.markNonce, book.markDay) = (book.lastNonce, uint16(today));
        }
        book.lastNonce = uint48(nonce);
        book.lastDay = uint16(today);
        // At most MAX_SETTLEMENTS balances; a provider that earned 2^96 wei withdraws first.
        book.earnings += uint96(total);
        $.books[provider] = book;
    }

    function _settleItems(
        Run memory run,
        bytes32[] calldata items
    ) private returns (uint128[] memory charged, bytes memory outcomes) {
        charged = new uint128[](items.length);
        outcomes = new bytes(items.length);
        mapping(address user => AccountSlot) storage slots = _slotsOf(run.provider);
        for (uint256 i = 0; i < items.length; ++i) {
            (uint256 amount, Outcome outcome) = _settleItem(run, slots, uint256(items[i]));
            run.total += amount;
            charged[i] = uint128(amount);
            outcomes[i] = bytes1(uint8(outcome));
        }
    }

    function _settleItem(
        Run memory run,
        mapping(address user => AccountSlot) storage slots,
        uint256 item
    ) private returns (uint256 amount, Outcome outcome) {
        // Most batches are of one price. 0 is no version, and its price never was in force.
        if (uint16(item) != run.version) {
            run.version = uint16(item);
            run.price = priceOf(run.provider, uint16(item));
            run.chargeable = _isChargeable(run.price);
        }
        if (!run.chargeable) return (0, Outcome.PriceNotInForce);
        address user = address(uint160(item >> 96));
        AccountSlot slot = slots[user];
        if (!slot.exists()) return (0, Outcome.NoAccount);
        uint256 fee = ((item >> 56) & UNITS_MASK) * run.price.inputPrice;
        fee += ((item >> 16) & UNITS_MASK) * run.price.outputPrice;
        uint256 allowed = slot.hasCeiling() ? _underCeiling(user, run.provider, slot, fee) : fee;
        (slot, amount) = _charge(slot, user, run.provider, allowed);
        slots[user] = slot.withNonce(run.nonce);
        if (amount < allowed) outcome = Outcome.Partial;
        else if (allowed < fee) outcome = Outcome.CeilingReached;
    }

    /// @inheritdoc IInferenceSettlement
    function batchDigest(
        address provider,
        uint64 nonce,
        bytes32 requestsHash,
        bytes32 itemsHash
    ) public view returns (bytes32) {
        bytes32 domain = keccak256(abi.encode(DOMAIN_TYPE, NAME_HASH, VERSION_HASH, block.chainid, address(this)));
        bytes32 batch = keccak256(abi.encode(BATCH_TYPE, provider, nonce, requestsHash, itemsHash));
        return MessageHashUtils.toTypedDataHash(domain, batch);
    }

    /// @inheritdoc IInferenceSettlement
    function lastNonce(address provider) external view returns (uint64) {
        return _settlementStorage().books[provider].lastNonce;
    }

    /// @inheritdoc IInferenceSettlement
    function isDisputable(address provider, uint64 nonce) external view returns (bool) {
        InferenceSettlementStorage storage $ = _settlementStorage();
        Book memory book = $.books[provider];
        if (nonce > book.lastNonce || ($.skipped[provider][nonce >> 8] >> (nonce & 0xff)) & 1 == 1) return false;
        uint256 today = block.timestamp / 1 days;
        if (today > book.lastDay + DISPUTE_DAYS) return false;
        return nonce > (today > book.markDay + DISPUTE_DAYS ? book.markNonce : $.olderMark[provider]);
    }

    // ---- earnings

    function earningsOf(address provider) external view returns (uint256) {
        return _settlementStorage().books[provider].earnings;
    }

    function _takeEarnings(address provider) internal override returns (uint256 amount) {
        Book storage book = _settlementStorage().books[provider];
        amount = book.earnings;
        book.earnings = 0;
    }

    // ---- ceilings

    /// @inheritdoc IInferenceSettlement
    function setCeiling(address provider, uint96 weiPerDay) external {
        InferenceSettlementStorage storage $ = _settlementStorage();
        (uint256 current, ) = ceiling(msg.sender, provider);
        uint256 effectiveAt = block.timestamp;
        if (weiPerDay != 0 && (current == 0 || weiPerDay < current)) {
            effectiveAt += lockTime();
            $.ceilings[provider][msg.sender].weiPerDay = uint96(current);
            $.nextCeilings[provider][msg.sender] = NextCeiling(weiPerDay, uint48(effectiveAt));
        } else {
            $.ceilings[provider][msg.sender].weiPerDay = weiPerDay;
            delete $.nextCeilings[provider][msg.sender];
        }
        _setSlot(msg.sender, provider, _slotOf(msg.sender, provider).withCeiling(weiPerDay != 0));
        emit CeilingSet(msg.sender, provider, weiPerDay, effectiveAt);
    }

    /// @inheritdoc IInferenceSettlement
    function ceiling(address user, address provider) public view returns (uint256 weiPerDay, uint256 spentToday) {
        InferenceSettlementStorage storage $ = _settlementStorage();
        Ceiling memory set = $.ceilings[provider][user];
        NextCeiling memory next = $.nextCeilings[provider][user];
        weiPerDay = next.effectiveAt != 0 && next.effectiveAt <= block.timestamp ? next.weiPerDay : set.weiPerDay;
        spentToday = set.day == block.timestamp / 1 days ? set.spent : 0;
    }

    /// How much of `fee` may be charged today; counts what there is to charge.
    function _underCeiling(
        address user,
        address provider,
        AccountSlot slot,
        uint256 fee
    ) private returns (uint256 allowed) {
        (uint256 weiPerDay, uint256 spent) = ceiling(user, provider);
        uint256 left =
            weiPerDay == 0
                ? type(uint256).max
                : weiPerDay > spent
                    ? weiPerDay - spent
                    : 0;
        allowed = fee < left ? fee : left;
        uint256 chargeable = _chargeable(slot, user, provider);
        Ceiling storage stored = _settlementStorage().ceilings[provider][user];
        // A balance is below 2^88, and a day has fewer than 2^8 of them deposited and charged whole.
        stored.spent = uint96(spent + (allowed < chargeable ? allowed : chargeable));
        stored.day = uint32(block.timestamp / 1 days);
    }

    function _settlementStorage() private pure returns (InferenceSettlementStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
