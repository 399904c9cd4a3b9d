// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

// Types of EIP-712 are hashed when this is compiled.
// solhint-disable gas-small-strings

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {RefundCredit} from "../lib/RefundCredit.sol";
import {IBonds} from "../stake/IBonds.sol";
import {IInferenceServing} from "./IInferenceServing.sol";
import {KeyLimit} from "./IInferenceKeys.sol";
import {Price} from "./IInferencePrices.sol";
import {Challenge, Evidence, Fault, IReceiptDisputes, ProvenReceipt} from "./IReceiptDisputes.sol";
import {Receipt, SettlementBatch} from "./Receipts.sol";

/// @title Disputes over receipts
/// @notice Immutable and without roles: it is what providers put their stake under. Its balance is the deposits of open challenges, and credit of
/// deposits that were not accepted when paid out.
/// Of the stake that a fault costs, half goes to the user and half is burnt: credited in Bonds to nobody. The chain can't tell a user from her
/// provider in disguise, and whoever holds a signing key can sign faults of any amount against itself; so whoever takes its own stake out
/// that way, past the delay of unbonding, loses as much as it gets.
contract ReceiptDisputes is IReceiptDisputes, RefundCredit {
    /// @notice What a user gets for a fault, beside what she was overcharged.
    uint256 public constant COMPENSATION = 1 ether;
    uint256 public constant CHALLENGE_DEPOSIT = 0.1 ether;
    /// @notice Seconds a provider has to answer a challenge.
    uint256 public constant ANSWER_TIME = 3 days;
    /// @notice Seconds by which a provider may lag behind the chain, or an answer take to complete.
    uint256 public constant GRACE = 1 hours;
    /// Longest time after which a batch can be disputed: what a signer signed later, it signed for nothing.
    uint256 private constant DISPUTABLE_FOR = 23 days;
    uint8 private constant PRICE_BITS = 16;
    /// Can't call, so can't withdraw.
    address private constant BURNT = address(0);

    bytes32 private constant RECEIPT_TYPE = keccak256(
        "Receipt(bytes32 id,address provider,address user,uint64 sequence,uint64 createdAt,uint8 tokenId,uint16 priceVersion,uint64 inputUnits,uint64 outputUnits,uint128 fee,uint128 cumulativeFee,uint128 keySpend,bytes32 requestHash,bytes32 responseHash,bytes32 modelHash,bytes32 specHash,uint64 seed,bytes32 unitsRule)"
    );

    IInferenceServing public immutable serving;
    IBonds public immutable bonds;

    mapping(bytes32 id => bool) private _decided;
    mapping(bytes32 id => Challenge) private _challenges;

    /// @param serving_ settles what is disputed here
    /// @param bonds_ holds the stake of its providers
    constructor(address serving_, address bonds_) {
        serving = IInferenceServing(serving_);
        bonds = IBonds(bonds_);
    }

    // ---- what receipts show by themselves

    /// @inheritdoc IReceiptDisputes
    function dispute(Evidence calldata evidence, bytes32[] calldata allowedModels) external {
        bytes32 hash = _check(evidence);
        Receipt calldata receipt = evidence.receipt;
        (Fault fault, uint256 overcharged) = _priceFault(receipt);
        if (fault == Fault.None) (fault, overcharged) = _keyFault(receipt, allowedModels);
        require(fault != Fault.None, NoFault());
        _decide(hash);
        _take(receipt.provider, receipt.user, fault, hash, overcharged);
    }

    /// @inheritdoc IReceiptDisputes
    function disputePair(Evidence calldata a, Evidence calldata b) external {
        bytes32 hashA = _check(a);
        bytes32 hashB = _check(b);
        require(a.batch.provider == b.batch.provider, WrongProvider(b.batch.provider, a.batch.provider));
        (Fault fault, uint256 overcharged) = _pairFault(a, b, hashA == hashB);
        require(fault != Fault.None, NoFault());
        // Of two receipts for one answer, only one is owed, whichever comes first in the call.
        _decide(hashA < hashB ? keccak256(abi.encode(hashA, hashB)) : keccak256(abi.encode(hashB, hashA)));
        _take(b.receipt.provider, b.receipt.user, fault, hashB, overcharged);
    }

    function _priceFault(Receipt calldata receipt) private view returns (Fault, uint256 overcharged) {
        Price memory price = serving.priceOf(receipt.provider, receipt.priceVersion);
        bool tooEarly = price.effectiveAt == 0 || receipt.createdAt + GRACE < price.effectiveAt;
        if (tooEarly || (price.until != 0 && receipt.createdAt > price.until + GRACE)) {
            return (Fault.PriceNotInForce, receipt.fee);
        }
        uint256 fee = uint256(receipt.inputUnits) * price.inputPrice + uint256(receipt.outputUnits) * price.outputPrice;
        if (receipt.fee != fee) return (Fault.WrongFee, receipt.fee > fee ? receipt.fee - fee : 0);
        return (Fault.None, 0);
    }

    function _keyFault(
        Receipt calldata receipt,
        bytes32[] calldata allowedModels
    ) private view returns (Fault, uint256 overcharged) {
        KeyLimit memory limit = serving.keyLimit(receipt.user, receipt.provider, receipt.tokenId);
        if (limit.since == 0 || receipt.createdAt < limit.since + GRACE) return (Fault.None, 0);
        if (limit.expiresAt != 0 && receipt.createdAt > limit.expiresAt + GRACE) return (Fault.KeyExpired, receipt.fee);
        bool named = limit.modelsHash != 0 && keccak256(abi.encodePacked(allowedModels)) == limit.modelsHash;
        if (named && !_contains(allowedModels, receipt.modelHash)) return (Fault.ModelNotAllowed, receipt.fee);
        if (limit.cap == 0 || receipt.keySpend <= limit.cap) return (Fault.None, 0);
        uint256 over = receipt.keySpend - limit.cap;
        return (Fault.OverKeyCap, Math.min(over, receipt.fee));
    }

    function _pairFault(
        Evidence calldata a,
        Evidence calldata b,
        bool same
    ) private pure returns (Fault, uint256 overcharged) {
        if (same) return a.batch.nonce == b.batch.nonce ? (Fault.None, 0) : (Fault.ChargedTwice, b.receipt.fee);
        (Receipt calldata first, Receipt calldata second) = (a.receipt, b.receipt);
        bool oneUser = first.user == second.user;
        if (first.id == second.id || (oneUser && first.sequence == second.sequence)) {
            return (Fault.Equivocation, second.fee);
        }
        if (!oneUser || uint256(first.sequence) + 1 != second.sequence) return (Fault.None, 0);
        uint256 total = uint256(first.cumulativeFee) + second.fee;
        if (second.cumulativeFee == total) return (Fault.None, 0);
        return (Fault.BrokenTotal, second.cumulativeFee > total ? second.cumulativeFee - total : 0);
    }

    function _contains(bytes32[] calldata list, bytes32 value) private pure returns (bool) {
        for (uint256 i = 0; i < list.length; ++i) if (list[i] == value) return true;
        return false;
    }

    // ---- what only the provider can show

    /// @inheritdoc IReceiptDisputes
    function challengeTotal(
        address provider,
        uint64 nonce,
        bytes32 requestsHash,
        bytes32[] calldata items,
        bytes calldata signature
    ) external payable returns (bytes32 id) {
        require(msg.value == CHALLENGE_DEPOSIT, WrongDeposit(msg.value, CHALLENGE_DEPOSIT));
        _checkBatch(SettlementBatch(provider, nonce, requestsHash, keccak256(abi.encodePacked(items))), signature);
        id = challengeId(provider, nonce, msg.sender);
        _decide(id);
        uint256 charged = _chargedTo(msg.sender, provider, items);
        require(charged != 0, NothingCharged(msg.sender));
        uint64 deadline = uint64(block.timestamp + ANSWER_TIME);
        bytes32 bond = serving.bondOf(provider);
        uint128 locked = bonds.lock(bond, 2 * _due(bond, charged));
        _challenges[id] = Challenge(provider, nonce, msg.sender, deadline, locked, charged, requestsHash);
        emit TotalChallenged(id, provider, msg.sender, nonce, charged, deadline);
    }

    /// @inheritdoc IReceiptDisputes
    function explainTotal(bytes32 id, ProvenReceipt calldata first, ProvenReceipt calldata last) external {
        Challenge memory challenge = challengeOf(id);
        require(block.timestamp <= challenge.deadline, DeadlinePassed(challenge.deadline));
        _checkOwn(challenge, first);
        _checkOwn(challenge, last);
        // Signed sums may be anything: only those count that lead from one receipt to the other.
        uint256 total = uint256(last.receipt.cumulativeFee) + first.receipt.fee;
        uint256 expected = challenge.charged + first.receipt.cumulativeFee;
        require(total == expected, DoesNotAddUp(total, expected));
        delete _challenges[id];
        emit TotalExplained(id, first.receipt, last.receipt);
        bonds.unlock(serving.bondOf(challenge.provider), challenge.locked);
        _refund(challenge.provider, CHALLENGE_DEPOSIT);
    }

    /// @inheritdoc IReceiptDisputes
    function concludeChallenge(bytes32 id) external {
        Challenge memory challenge = challengeOf(id);
        require(block.timestamp > challenge.deadline, DeadlineNotPassed(challenge.deadline));
        delete _challenges[id];
        bonds.unlock(serving.bondOf(challenge.provider), challenge.locked);
        _take(challenge.provider, challenge.user, Fault.TotalUnexplained, id, challenge.charged);
        _refund(challenge.user, CHALLENGE_DEPOSIT);
    }

    /// @inheritdoc IReceiptDisputes
    function challengeOf(bytes32 id) public view returns (Challenge memory challenge) {
        challenge = _challenges[id];
        require(challenge.user != address(0), UnknownChallenge(id));
    }

    /// @inheritdoc IReceiptDisputes
    function challengeId(address provider, uint64 nonce, address user) public pure returns (bytes32) {
        return keccak256(abi.encode("total", provider, nonce, user));
    }

    function _chargedTo(
        address user,
        address provider,
        bytes32[] calldata items
    ) private view returns (uint256 charged) {
        for (uint256 i = 0; i < items.length; ++i) {
            uint256 item = uint256(items[i]);
            if (address(uint160(item >> 96)) != user) continue;
            Price memory price = serving.priceOf(provider, uint16(item));
            charged +=
                uint256(uint40(item >> 56)) * price.inputPrice +
                uint256(uint40(item >> PRICE_BITS)) * price.outputPrice;
        }
    }

    function _checkOwn(Challenge memory challenge, ProvenReceipt calldata proven) private pure {
        Receipt calldata receipt = proven.receipt;
        require(receipt.provider == challenge.provider, WrongProvider(receipt.provider, challenge.provider));
        require(receipt.user == challenge.user, WrongUser(receipt.user, challenge.user));
        bytes32 hash = receiptHash(receipt);
        require(MerkleProof.verifyCalldata(proven.path, challenge.requestsHash, hash), NotInBatch(hash));
    }

    // ---- evidence

    /// @inheritdoc IReceiptDisputes
    function receiptHash(Receipt calldata receipt) public pure returns (bytes32) {
        return keccak256(abi.encode(RECEIPT_TYPE, receipt));
    }

    /// Gives the hash of the receipt.
    function _check(Evidence calldata evidence) private view returns (bytes32 hash) {
        SettlementBatch calldata batch = evidence.batch;
        _checkBatch(batch, evidence.signature);
        require(evidence.receipt.provider == batch.provider, WrongProvider(evidence.receipt.provider, batch.provider));
        hash = receiptHash(evidence.receipt);
        require(MerkleProof.verifyCalldata(evidence.path, batch.requestsHash, hash), NotInBatch(hash));
    }

    /// The batch need not be the one that was settled under its nonce: a signer that signs two under one nonce is at fault for either.
    function _checkBatch(SettlementBatch memory batch, bytes calldata signature) private view {
        require(serving.isDisputable(batch.provider, batch.nonce), NotDisputable(batch.provider, batch.nonce));
        bytes32 digest = serving.batchDigest(batch.provider, batch.nonce, batch.requestsHash, batch.itemsHash);
        (address signer, , ) = ECDSA.tryRecover(digest, signature);
        uint256 until = serving.signerUntil(batch.provider, signer);
        bool recent = until != 0 && until >= block.timestamp - DISPUTABLE_FOR;
        require(signer != address(0) && recent, NotSignedByProvider(batch.provider, signer));
    }

    // ---- money

    function _decide(bytes32 id) private {
        require(!_decided[id], AlreadyDecided(id));
        _decided[id] = true;
    }

    function _take(address provider, address user, Fault fault, bytes32 hash, uint256 overcharged) private {
        bytes32 bond = serving.bondOf(provider);
        uint128 due = _due(bond, overcharged);
        uint256 taken = bonds.slash(bond, due, user);
        taken += bonds.slash(bond, due, BURNT);
        emit FaultProven(provider, user, fault, hash, overcharged, taken);
    }

    /// What the user gets: all that is due to her, as far as there is as much again to burn.
    function _due(bytes32 bond, uint256 overcharged) private view returns (uint128) {
        IBonds.Bond memory held = bonds.bondOf(bond);
        return uint128(Math.min(overcharged + COMPENSATION, (uint256(held.bonded) + held.unbonding) / 2));
    }
}
